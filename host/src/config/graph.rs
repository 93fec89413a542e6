//! The tree of layers.

use std::collections::BTreeMap;

use super::error::DocumentPath;
use super::pipeline::Pipeline;
use super::validate::Findings;

/// Each layer's parent; `None` where it reads the decoded records.
pub(super) fn parents(pipeline: &Pipeline) -> BTreeMap<String, Option<String>> {
    pipeline.layers.iter().map(|(name, layer)| (name.clone(), layer.from.clone())).collect()
}

/// The layers, each after its parent, otherwise in the order of the file. Layers that hang on a cycle or on
/// a layer that does not exist are left out.
pub(super) fn parents_first(pipeline: &Pipeline) -> Vec<String> {
    let mut order: Vec<String> = Vec::with_capacity(pipeline.layers.len());
    loop {
        let next = pipeline.layers.iter().find(|(name, layer)| {
            !order.contains(name) && layer.from.as_ref().is_none_or(|parent| order.contains(parent))
        });
        match next {
            Some((name, _)) => order.push(name.clone()),
            None => return order,
        }
    }
}

pub(super) fn check(pipeline: &Pipeline, found: &mut Findings) {
    for (name, layer) in &pipeline.layers {
        let Some(parent) = &layer.from else { continue };
        let path = DocumentPath::default().key("layers").key(name).key("from");
        if !pipeline.layers.contains_key(parent) {
            let layers: Vec<_> = pipeline.layers.keys().map(|name| format!("`{name}`")).collect();
            found.add(path, format!("there is no layer `{parent}`; the layers are {}", layers.join(", ")));
        } else if let Some(cycle) = cycle_through(name, pipeline) {
            found.add(path, format!("a layer cannot read from itself: {}", cycle.join(" from ")));
        }
    }
}

/// The way from a layer up to itself.
fn cycle_through<'a>(layer: &'a str, pipeline: &'a Pipeline) -> Option<Vec<&'a str>> {
    let mut way = vec![layer];
    let mut current = layer;
    while way.len() <= pipeline.layers.len() {
        current = pipeline.layers.get(current)?.from.as_deref()?;
        way.push(current);
        if current == layer {
            return Some(way);
        }
    }
    None
}
