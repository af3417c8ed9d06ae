//! Modules, libraries and functions.
//!
//! Code is taken as it comes and never run. The functions of a PTX text are those it declares; of
//! an image that a compiler made, every name is one.

use crate::call::{In, Out, Text};
use crate::context::{current, current_device};
use crate::device::device;
use crate::driver::{State, driver, with};
use crate::outcome::{
    FILE_NOT_FOUND, INVALID_HANDLE, INVALID_IMAGE, INVALID_VALUE, NOT_FOUND, Outcome,
};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};

/// Threads of a block at most.
pub(crate) const BLOCK_MAX: u32 = 1024;
/// What a variable of an image takes: its true size is in the image, which is not read.
const VARIABLE_BYTES: u64 = 64 << 10;
/// A PTX text is looked at no further.
const PTX_MAX: usize = 64 << 20;

/// An image, or a function of one.
#[derive(Debug)]
pub(crate) enum Code {
    /// A module or a library, and its functions so far.
    Image {
        /// The names it declares; none where every name is one.
        names: Option<Vec<String>>,
        /// Handles of those that were asked for.
        functions: BTreeMap<String, u64>,
        /// Addresses of variables that were asked for.
        variables: BTreeMap<String, u64>,
        /// The contexts it is in, and what it takes of their devices.
        places: BTreeMap<u64, (usize, u64)>,
    },
    /// A function or a kernel.
    Function {
        /// Its name, as the program has it.
        name: CString,
        /// Of which image.
        image: u64,
        /// Attributes that were set.
        set: BTreeMap<u32, i32>,
    },
}

/// The image at an address.
fn image(at: In<u8>) -> Outcome<Code> {
    let start = [at.at(0)?, at.at(1)?, at.at(2)?, at.at(3)?];
    let names = match start {
        // ELF, a fat binary, and the wrapper around one.
        [0x7f, b'E', b'L', b'F'] | [0x50, 0xed, 0x55, 0xba] | [0xb1, 0x43, 0x62, 0x46] => None,
        // SAFETY: whatever is none of the above is a text that ends with zero, or no image.
        _ => Some(entries(unsafe { CStr::from_ptr(at.address() as *const c_char) })?),
    };
    let (functions, variables) = (BTreeMap::new(), BTreeMap::new());
    Ok(Code::Image { names, functions, variables, places: BTreeMap::new() })
}

impl State {
    /// Brings an image into the current context, if there is one and it is not there yet: a library
    /// may be loaded without one.
    fn bring(&mut self, image: u64) -> Outcome {
        let Ok(context) = current() else { return Ok(()) };
        let (device, bytes) = (current_device(self)?, driver()?.settings.module);
        match self.codes.get(image)? {
            Code::Image { places, .. } if !places.contains_key(&context) => {}
            _ => return Ok(()),
        }
        self.charge(device, bytes)?;
        if let Code::Image { places, .. } = self.codes.get_mut(image)? {
            places.insert(context, (device, bytes));
        }
        Ok(())
    }

    /// Ends what images take in a context.
    pub(crate) fn end_code(&mut self, context: u64) {
        for code in self.codes.values_mut() {
            let Code::Image { places, .. } = code else { continue };
            if let Some((device, bytes)) = places.remove(&context) {
                self.used[device] -= bytes;
            }
        }
    }
}

/// Keeps an image, in the current context if there is one.
fn keep(out: Out<u64>, image: Code) -> Outcome {
    let kept = with(|state| {
        let kept = state.codes.add(image);
        state.bring(kept).inspect_err(|_| drop(state.codes.remove(kept)))?;
        Ok(kept)
    })?;
    out.put(kept)
}

/// The functions that a PTX text declares.
fn entries(text: &CStr) -> Outcome<Vec<String>> {
    let text = text.to_str().map_err(|_| INVALID_IMAGE)?;
    if text.len() > PTX_MAX || !text.contains(".version") {
        return Err(INVALID_IMAGE);
    }
    let after = text.split(".entry").skip(1);
    let name =
        |rest: &str| rest.trim_start().split(['(', ' ', '\n', '{']).next().map(str::to_owned);
    Ok(after.filter_map(name).collect())
}

fn load(out: Out<u64>, at: In<u8>) -> Outcome {
    current()?;
    keep(out, image(at)?)
}

/// Loads what a file holds.
fn load_file(out: Out<u64>, path: Text) -> Outcome {
    let mut bytes = std::fs::read(path.text()?).map_err(|_| FILE_NOT_FOUND)?;
    // A text need not end with zero in its file.
    bytes.push(0);
    keep(out, image(In::to(bytes.as_slice()))?)
}

/// The function of a name in an image; the same each time.
fn function(out: Out<u64>, image: u64, name: Text) -> Outcome {
    out.put(named(image, name.text()?)?)
}

/// The name of the one function of an image whose functions are not known.
const ONLY: &str = "kernel";

/// All functions of an image; of one that a compiler made there is one, whatever it is called.
pub(crate) fn functions(image: u64) -> Outcome<Vec<u64>> {
    let names = with(|state| match state.codes.get(image)? {
        Code::Image { names, .. } => Ok(names.clone()),
        Code::Function { .. } => Err(INVALID_HANDLE),
    })?;
    let names = names.unwrap_or_else(|| vec![ONLY.to_owned()]);
    names.iter().map(|name| named(image, name)).collect()
}

fn named(image: u64, name: &str) -> Outcome<u64> {
    with(|state| {
        state.bring(image)?;
        let Code::Image { names, functions, .. } = state.codes.get(image)? else {
            return Err(INVALID_HANDLE);
        };
        if let Some(known) = functions.get(name) {
            return Ok(*known);
        }
        let unknown = names.as_ref().is_some_and(|names| !names.iter().any(|known| known == name));
        if unknown || name.is_empty() {
            return Err(NOT_FOUND);
        }
        let text = CString::new(name).map_err(|_| INVALID_VALUE)?;
        let made = state.codes.add(Code::Function { name: text, image, set: BTreeMap::new() });
        if let Code::Image { functions, .. } = state.codes.get_mut(image)? {
            functions.insert(name.to_owned(), made);
        }
        Ok(made)
    })
}

/// A variable of an image: memory of the device, taken when it is first asked for.
fn variable(out: Out<u64>, bytes: Out<u64>, image: u64, name: Text) -> Outcome {
    let name = name.text()?;
    let context = current()?;
    let at = with(|state| {
        let Code::Image { variables, .. } = state.codes.get(image)? else {
            return Err(INVALID_HANDLE);
        };
        if let Some(known) = variables.get(name) {
            return Ok(*known);
        }
        let device = crate::context::current_device(state)?;
        let at = state.take(device, context, crate::memory::Kind::Device, VARIABLE_BYTES)?;
        if let Code::Image { variables, .. } = state.codes.get_mut(image)? {
            variables.insert(name.to_owned(), at);
        }
        Ok(at)
    })?;
    out.offer(at);
    bytes.offer(VARIABLE_BYTES);
    Ok(())
}

fn unload(image: u64) -> Outcome {
    with(|state| match state.codes.remove(image)? {
        Code::Image { functions, variables, places, .. } => {
            places.into_values().for_each(|(device, bytes)| state.used[device] -= bytes);
            variables.into_values().try_for_each(|at| state.release(at))?;
            functions.into_values().try_for_each(|f| state.codes.remove(f).map(drop))
        }
        Code::Function { .. } => Err(INVALID_HANDLE),
    })
}

/// Of a function: its name and image.
pub(crate) fn described<T>(function: u64, what: impl Fn(&CString, u64) -> T) -> Outcome<T> {
    with(|state| match state.codes.get(function)? {
        Code::Function { name, image, .. } => Ok(what(name, *image)),
        Code::Image { .. } => Err(INVALID_HANDLE),
    })
}

fn attribute(function: u64, number: u32) -> Outcome<i32> {
    let version = driver()?.devices.first().map_or(0, |d| d.capability.0 * 10 + d.capability.1);
    with(|state| match state.codes.get(function)? {
        Code::Function { set, .. } => Ok(match number {
            _ if set.contains_key(&number) => set[&number],
            0 => BLOCK_MAX as i32,
            4 => 32,
            5 | 6 => version,
            8 => 48 << 10,
            _ => 0,
        }),
        Code::Image { .. } => Err(INVALID_HANDLE),
    })
}

fn set_attribute(function: u64, number: u32, value: i32) -> Outcome {
    with(|state| match state.codes.get_mut(function)? {
        Code::Function { set, .. } => {
            set.insert(number, value);
            Ok(())
        }
        Code::Image { .. } => Err(INVALID_HANDLE),
    })
}

calls! {
    fn cuModuleLoad(out: Out<u64>, path: Text) {
        current()?;
        load_file(out, path)
    }

    fn cuModuleLoadData(out: Out<u64>, image: In<u8>) {
        load(out, image)
    }

    fn cuModuleLoadDataEx(out: Out<u64>, image: In<u8>, _n: u32, _options: usize, _values: usize) {
        load(out, image)
    }

    fn cuModuleLoadFatBinary(out: Out<u64>, image: In<u8>) {
        load(out, image)
    }

    fn cuModuleUnload(module: u64) {
        unload(module)
    }

    fn cuModuleGetFunction(out: Out<u64>, module: u64, name: Text) {
        function(out, module, name)
    }

    fn cuModuleGetGlobal_v2(out: Out<u64>, bytes: Out<u64>, module: u64, name: Text) {
        variable(out, bytes, module, name)
    }

    fn cuLibraryGetGlobal(out: Out<u64>, bytes: Out<u64>, library: u64, name: Text) {
        variable(out, bytes, library, name)
    }

    fn cuModuleGetLoadingMode(mode: Out<u32>) {
        driver()?;
        // Lazy.
        mode.put(2)
    }

    fn cuLibraryLoadData(
        out: Out<u64>,
        image: In<u8>,
        _options: usize,
        _values: usize,
        _count: u32,
        _library_options: usize,
        _library_values: usize,
        _library_count: u32,
    ) {
        driver()?;
        keep(out, crate::code::image(image)?)
    }

    fn cuLibraryLoadFromFile(
        out: Out<u64>,
        path: Text,
        _options: usize,
        _values: usize,
        _count: u32,
        _library_options: usize,
        _library_values: usize,
        _library_count: u32,
    ) {
        driver()?;
        load_file(out, path)
    }

    fn cuLibraryUnload(library: u64) {
        unload(library)
    }

    fn cuLibraryGetKernel(out: Out<u64>, library: u64, name: Text) {
        function(out, library, name)
    }

    fn cuLibraryGetModule(out: Out<u64>, library: u64) {
        with(|state| state.codes.get(library).map(drop))?;
        out.put(library)
    }

    fn cuKernelGetFunction(out: Out<u64>, kernel: u64) {
        described(kernel, |_, _| ())?;
        out.put(kernel)
    }

    fn cuKernelGetLibrary(out: Out<u64>, kernel: u64) {
        out.put(described(kernel, |_, image| image)?)
    }

    fn cuKernelGetName(out: Out<usize>, kernel: u64) {
        out.put(described(kernel, |name, _| name.as_ptr() as usize)?)
    }

    fn cuFuncGetName(out: Out<usize>, function: u64) {
        out.put(described(function, |name, _| name.as_ptr() as usize)?)
    }

    fn cuFuncGetModule(out: Out<u64>, function: u64) {
        out.put(described(function, |_, image| image)?)
    }

    fn cuFuncGetAttribute(value: Out<i32>, number: u32, function: u64) {
        value.put(attribute(function, number)?)
    }

    fn cuFuncSetAttribute(function: u64, number: u32, value: i32) {
        set_attribute(function, number, value)
    }

    fn cuFuncSetCacheConfig(function: u64, _config: u32) {
        described(function, |_, _| ())
    }

    fn cuKernelGetAttribute(value: Out<i32>, number: u32, kernel: u64, on: i32) {
        device(on)?;
        value.put(attribute(kernel, number)?)
    }

    fn cuKernelSetAttribute(number: u32, value: i32, kernel: u64, on: i32) {
        device(on)?;
        set_attribute(kernel, number, value)
    }

    fn cuKernelSetCacheConfig(kernel: u64, _config: u32, on: i32) {
        device(on)?;
        described(kernel, |_, _| ())
    }

    fn cuFuncLoad(function: u64) {
        described(function, |_, _| ())
    }

    fn cuFuncIsLoaded(state: Out<u32>, function: u64) {
        described(function, |_, _| ())?;
        state.put(1)
    }
}

/// A module of a fat binary, for the runtime library's hidden table.
pub(crate) fn load_hidden(out: Out<u64>, image: In<u8>) -> Outcome {
    load(out, image)
}
