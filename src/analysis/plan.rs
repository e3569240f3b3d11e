//! Which steps a rollout should take, before it is live: what can be learned from the traffic, and what it costs to learn
//! it slowly or to be wrong fast.
//!
//! [`sample`] says how many requests a verdict takes, [`steps`] which weights in which order cost least, and [`rolling`]
//! how many endpoints can be out at a time. All of it is expectation: of the tests of [`crate::analysis`], the time to
//! an alarm is taken for exponential.

pub mod rolling;
pub mod sample;
pub mod steps;
