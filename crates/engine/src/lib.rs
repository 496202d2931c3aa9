//! The rooms of the flow, one module each, and their schedules. Knows ports only.
