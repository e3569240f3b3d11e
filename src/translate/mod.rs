//! Spec and splits to snapshots: what each group of nodes should have, encoded.
