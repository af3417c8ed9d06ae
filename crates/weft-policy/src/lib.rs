//! Who may do what: Cedar policies and the one decision function.
