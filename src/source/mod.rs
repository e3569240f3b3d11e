//! A directory of rollout files, watched.
