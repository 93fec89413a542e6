//! The pages of the standard plugins say what the plugins do.

use anyhow::{Context, Result};
use sluicebox::plugin::{Engine, EngineSettings};
use sluicebox_tests::fixed_batch::component;
use sluicebox_tests::plugin_page::{
    Columns, check_or_update, examples, index_line, page, page_path, read, root, standard_plugins,
};

/// Each plugin's page is what its component describes and the prose beside its source; the index lists them all.
/// `UPDATE_DOCS=1` writes the pages.
#[test]
fn every_plugin_has_a_page_that_is_its_own() -> Result<()> {
    let engine = Engine::new(&EngineSettings::default())?;
    let index = read(&root().join("docs/plugins.md"))?;
    for name in standard_plugins()? {
        let plugin = engine.load(&component(&name), None)?;
        assert_eq!(**plugin.name(), name);
        check_or_update(&page_path(&name), &page(&plugin)?)?;
        let line = index_line(&plugin);
        assert!(index.contains(&line), "docs/plugins.md lacks the line\n{line}");
    }
    Ok(())
}

/// The rows of each example go through the component, one by one, in threes and all at once, and what comes out is what
/// the page shows.
#[test]
fn every_example_with_rows_gives_what_the_page_shows() -> Result<()> {
    let engine = Engine::new(&EngineSettings::default())?;
    let columns = Columns::of_index()?;
    let mut with_rows = 0;
    for name in standard_plugins()? {
        for example in examples(&read(&page_path(&name))?, &columns)? {
            let Some(lines) = &example.lines else { continue };
            with_rows += 1;
            for batch in [1, 3, usize::MAX] {
                let found = example.run(&name, &engine, batch).with_context(|| example.step.clone())?;
                assert_eq!(&found, lines, "{name}, in batches of {batch}:\n{}", example.step);
            }
        }
    }
    assert!(with_rows >= 5, "{with_rows} examples have rows");
    Ok(())
}
