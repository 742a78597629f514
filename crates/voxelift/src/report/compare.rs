//! Pictures of one head laid over one another, with a line between two of them that can be moved.
//!
//! Without a script, and in print, the pictures stand side by side.

use super::base64::base64;
use super::page::escaped;
use crate::picture::View;

/// What brings the line to life.
pub const SCRIPT: &str = include_str!("compare.js");

/// One volume of the head.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Stands over it.
    pub name: String,
    /// The values shown as black and as white.
    pub window: String,
    /// Its planes, the same of every layer.
    pub views: Vec<View>,
}

/// The layers as HTML; the line begins between the two named by their places.
pub fn compare(layers: &[Layer], [left, right]: [usize; 2]) -> String {
    let layers: String = layers.iter().map(layer).collect();
    format!(
        "<div class=\"compare\" data-left=\"{left}\" data-right=\"{right}\"><div class=\"layers\">{layers}</div></div>"
    )
}

fn layer(layer: &Layer) -> String {
    let (name, window) = (escaped(&layer.name), escaped(&layer.window));
    let views: String = layer.views.iter().map(|one| view(&name, one)).collect();
    format!(
        "<section class=\"layer\" data-name=\"{name}\" data-window=\"{window}\"><h3>{name} <small>{window}</small></h3>\
         <div class=\"planes\">{views}</div></section>\n"
    )
}

fn view(name: &str, view: &View) -> String {
    let View {
        plane,
        width,
        height,
        png,
    } = view;
    let (plane, data) = (plane.name(), base64(png));
    format!(
        "<img style=\"flex-grow:{width}\" width=\"{width}\" height=\"{height}\" alt=\"{name}, {plane}\" \
         src=\"data:image/png;base64,{data}\">"
    )
}
