//! Layer 12 · A viewer in the browser, from a server that only this machine and only this address can ask.

mod answer;
mod gallery;
mod request;
mod server;

pub use gallery::{Gallery, Kind};
pub use server::Server;
