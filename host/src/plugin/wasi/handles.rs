//! What a plugin holds of WASI that has something behind it.

use std::any::Any;
use std::collections::HashMap;

use wasmtime::component::Resource;
use wasmtime::{Result, bail};

/// Numbers below are constants: standard streams and such, which are nothing that is held.
const FIRST: u32 = 16;
const MOST: usize = 1 << 16;

/// Things by number, each of whatever type. All resources of WASI are one type to the linker, so what a number stands for
/// is checked here.
#[derive(Default)]
pub(super) struct Handles {
    things: HashMap<u32, Box<dyn Any + Send>>,
    last: u32,
}

impl Handles {
    pub fn add(&mut self, thing: impl Any + Send) -> Result<Resource<()>> {
        if self.things.len() >= MOST {
            bail!("it holds more than {MOST} files, streams, requests and such at once");
        }
        // Numbers come around after 4 billion, when the first ones are long gone; those that are not are passed over.
        loop {
            self.last = self.last.checked_add(1).unwrap_or(FIRST).max(FIRST);
            if !self.things.contains_key(&self.last) {
                self.things.insert(self.last, Box::new(thing));
                return Ok(Resource::new_own(self.last));
            }
        }
    }

    pub fn get<T: Any>(&mut self, handle: &Resource<()>) -> Result<&mut T> {
        match self.find(handle) {
            Some(thing) => Ok(thing),
            None => bail!("it uses a handle for what it is not"),
        }
    }

    /// Nothing, if it is something else.
    pub fn find<T: Any>(&mut self, handle: &Resource<()>) -> Option<&mut T> {
        self.things.get_mut(&handle.rep())?.downcast_mut()
    }

    /// Takes it out, where the plugin gave it away.
    pub fn take<T: Any>(&mut self, handle: &Resource<()>) -> Result<T> {
        self.get::<T>(handle)?;
        match self.things.remove(&handle.rep()).map(<Box<dyn Any + Send>>::downcast) {
            Some(Ok(thing)) => Ok(*thing),
            _ => bail!("it uses a handle for what it is not"),
        }
    }

    pub fn remove(&mut self, number: u32) {
        self.things.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_good_for_its_own_type_until_it_is_given_up() {
        let mut handles = Handles::default();
        let text = handles.add("text".to_owned()).unwrap();
        let number = handles.add(7u8).unwrap();
        assert_eq!(handles.get::<String>(&text).unwrap(), "text");
        assert!(handles.get::<u8>(&text).is_err());
        assert!(handles.take::<String>(&number).is_err());
        assert_eq!(handles.take::<u8>(&number).unwrap(), 7);
        assert!(handles.get::<u8>(&number).is_err());
        handles.remove(text.rep());
        assert!(handles.find::<String>(&text).is_none());
    }

    #[test]
    fn they_are_bounded_and_their_numbers_come_around() {
        let mut handles = Handles { last: u32::MAX - 1, ..Handles::default() };
        for _ in 0..MOST {
            handles.add(()).unwrap();
        }
        assert!(handles.add(()).unwrap_err().to_string().contains("more than"));
        assert!(handles.things.keys().all(|number| *number >= FIRST));
    }
}
