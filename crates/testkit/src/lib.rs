//! For tests only: databases, clocks, whole-program harness.
