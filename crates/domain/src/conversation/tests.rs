//! The fold, over a small model of the store.
