//! What stands between C and Rust: addresses that may be null, results as numbers, panics caught.

use crate::outcome::{INVALID_VALUE, Outcome, UNKNOWN};
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A function that is offered, by the symbol it is exported as.
pub(crate) struct Call {
    /// The symbol.
    pub(crate) symbol: &'static str,
    /// Its code.
    pub(crate) code: *const (),
}

// SAFETY: an address of code, which is there as long as the process and never changes.
unsafe impl Sync for Call {}

/// Declares functions of the driver: each body is an [`Outcome`], and all are listed in `CALLS`.
macro_rules! calls {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) $body:block)*) => {
        /// The functions of this file.
        pub(crate) const CALLS: &[crate::call::Call] = &[
            $(crate::call::Call { symbol: stringify!($name), code: $name as *const () }),*
        ];
        $(
            $(#[$doc])*
            #[expect(non_snake_case, reason = "the driver's name")]
            extern "C" fn $name($($arg: $type),*) -> u32 {
                crate::call::number(|| crate::gate::through(stringify!($name), || $body))
            }
        )*
    };
}

/// An outcome as the number C expects; a panic is an unknown error and goes no further.
pub(crate) fn number(body: impl FnOnce() -> Outcome) -> u32 {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => 0,
        Ok(Err(code)) => code.0,
        Err(_) => UNKNOWN.0,
    }
}

/// Where the caller wants an answer; may be null.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Out<T>(*mut T);

impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Out<T> {}

impl<T> Out<T> {
    /// Answers; null is an invalid value.
    pub(crate) fn put(self, value: T) -> Outcome {
        if self.0.is_null() {
            return Err(INVALID_VALUE);
        }
        self.offer(value);
        Ok(())
    }

    /// Whether the caller wants no answer.
    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// What the caller has put there to be read first; none where it is null.
    pub(crate) fn get(self) -> Option<T>
    where
        T: Copy,
    {
        // SAFETY: the caller's to give: a value.
        (!self.0.is_null()).then(|| unsafe { self.0.read_unaligned() })
    }

    /// The place of one of several in a row.
    pub(crate) fn place(self, index: usize) -> Self {
        // SAFETY: the caller's to give: room for as many as it said.
        if self.0.is_null() { self } else { Self(unsafe { self.0.add(index) }) }
    }

    /// Answers where the caller wants to know.
    pub(crate) fn offer(self, value: T) {
        if !self.0.is_null() {
            // SAFETY: the caller's to give: room for one value.
            unsafe { self.0.write_unaligned(value) };
        }
    }

    /// Answers with several in a row.
    pub(crate) fn put_all(self, values: impl IntoIterator<Item = T>) -> Outcome {
        for (at, value) in values.into_iter().enumerate() {
            // SAFETY: the caller's to give: room for as many as it said.
            Out(unsafe { self.0.add(at) }).put(value)?;
        }
        Ok(())
    }
}

/// What the caller hands over by address; may be null.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct In<T>(*const T);

impl<T> Clone for In<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for In<T> {}

impl<T: Copy> In<T> {
    /// The value; null is an invalid one.
    pub(crate) fn get(self) -> Outcome<T> {
        self.at(0)
    }

    /// One of several in a row.
    pub(crate) fn at(self, index: usize) -> Outcome<T> {
        if self.0.is_null() {
            return Err(INVALID_VALUE);
        }
        // SAFETY: the caller's to give: as many values as it said.
        Ok(unsafe { self.0.add(index).read_unaligned() })
    }

    /// The address itself.
    pub(crate) fn address(self) -> usize {
        self.0 as usize
    }
}

impl In<u8> {
    /// What one of our own hands over.
    pub(crate) fn to(bytes: &[u8]) -> Self {
        Self(bytes.as_ptr())
    }
}

/// A text of the caller.
pub(crate) type Text = In<c_char>;

impl Text {
    /// The text; null, and what is no UTF-8, is an invalid value.
    pub(crate) fn text<'a>(self) -> Outcome<&'a str> {
        if self.0.is_null() {
            return Err(INVALID_VALUE);
        }
        // SAFETY: the caller's to give: a text that ends with zero and outlives the call.
        unsafe { CStr::from_ptr(self.0) }.to_str().map_err(|_| INVALID_VALUE)
    }
}

impl Out<c_char> {
    /// Answers with a text, cut to what there is room for, and zero behind it.
    pub(crate) fn put_text(self, text: &str, room: usize) -> Outcome {
        let Some(most) = room.checked_sub(1) else { return Err(INVALID_VALUE) };
        let bytes = text.bytes().take(most).chain([0]);
        self.put_all(bytes.map(|byte| byte as c_char))
    }
}

impl<T> Out<T> {
    /// Where one of our own wants an answer.
    pub(crate) fn to(place: &mut T) -> Self {
        Self(place)
    }
}
