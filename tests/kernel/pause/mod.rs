//! The pause process: what it is, what it does, and what of the embedder it leaves alone.

mod container;
mod embedder;
mod logs;
mod plan;
mod protocol;
mod survival;
