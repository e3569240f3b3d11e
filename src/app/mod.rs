//! Wires the tasks and owns shutdown; decides nothing.
