//! Stacks of slices of several volumes of one subject, to be scrolled, windowed and laid over one another.
//!
//! Without a script, and in print, one slice of each plane of every volume stands side by side, with its sides, its scale
//! and its colours.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;

use super::escape::escaped;
use crate::picture::{Frame, Palette, Stacks, Window, bar_mm, short};

/// What brings the pictures to life.
pub const SCRIPT: &str = include_str!("compare.js");

/// One volume.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Stands over it.
    pub name: String,
    /// What its numbers are.
    pub unit: &'static str,
    /// The values at the ends of its colours.
    pub window: Window,
    /// Its colours.
    pub palette: Palette,
    /// Its slices: a PNG file for each plane.
    pub sheets: Vec<Vec<u8>>,
}

/// The layers as HTML; the line begins between the two named by their places.
pub fn compare(stacks: &Stacks, layers: &[Layer], [left, right]: [usize; 2]) -> String {
    let frames: Vec<serde_json::Value> = stacks.frames().map(geometry).collect();
    let geometry = json!({"world": stacks.world_from_mm(), "frames": frames});
    let layers: String = layers.iter().map(|layer| self::layer(stacks, layer)).collect();
    format!(
        "<div class=\"compare\" data-left=\"{left}\" data-right=\"{right}\" data-geometry=\"{}\">\
         <div class=\"layers\">{layers}</div></div>",
        escaped(&geometry.to_string())
    )
}

/// What the script has to know of a plane.
fn geometry(frame: &Frame) -> serde_json::Value {
    let round = |mm: f64| (mm * 1e4).round() / 1e4;
    json!({
        "plane": frame.plane.name(),
        "axes": frame.plane.axes(),
        "width": frame.width,
        "height": frame.height,
        "pixel": round(frame.pixel_mm),
        "edges": frame.edges.letters,
        "origin": frame.origin_mm.map(round),
        "depths": frame.depths_mm.iter().map(|mm| round(*mm)).collect::<Vec<_>>(),
        "begin": frame.begin,
    })
}

fn layer(stacks: &Stacks, layer: &Layer) -> String {
    let Layer {
        name, unit, window, ..
    } = layer;
    let (name, [black, white]) = (escaped(name), [window.black, window.white].map(short));
    let colours: String = layer
        .palette
        .colours()
        .iter()
        .map(|[r, g, b]| format!("{r:02x}{g:02x}{b:02x}"))
        .collect();
    let steps: Vec<String> = (0..=16)
        .map(|i| {
            let at = (i * 16).min(255) * 6;
            format!("#{}", &colours[at..at + 6])
        })
        .collect();
    let views: String = stacks
        .frames()
        .zip(&layer.sheets)
        .map(|(frame, png)| view(&name, frame, png))
        .collect();
    format!(
        "<section class=\"layer\" data-name=\"{name}\" data-unit=\"{unit}\" data-black=\"{}\" data-white=\"{}\" \
         data-kind=\"{}\" data-colours=\"{colours}\"><h3>{name}</h3><div class=\"planes\">{views}</div>\
         <p class=\"bar\"><span>{black}</span><i style=\"background:linear-gradient(to right,{})\"></i>\
         <span>{white} <small>{unit}</small></span></p></section>\n",
        window.black,
        window.white,
        kind(layer.palette),
        steps.join(",")
    )
}

/// Layers of one kind share a window.
fn kind(palette: Palette) -> &'static str {
    match palette {
        Palette::Grey => "grey",
        Palette::Heat => "heat",
        Palette::Signed => "signed",
    }
}

/// The slice to begin with, out of the sheet of all.
fn view(name: &str, frame: &Frame, png: &[u8]) -> String {
    let Frame {
        width, height, begin, ..
    } = frame;
    let place = match frame.depths_mm.len() {
        1 => 0.0,
        slices => 100.0 * *begin as f64 / (slices - 1) as f64,
    };
    let (plane, data) = (frame.plane.name(), BASE64_STANDARD.encode(png));
    let [left, right, top, bottom] = &frame.edges.letters;
    let across = *width as f64 * frame.pixel_mm;
    let long = bar_mm(across);
    format!(
        "<div class=\"plane\" style=\"flex-grow:{width}\"><div class=\"slice\" style=\"aspect-ratio:{width}/{height}\">\
         <img style=\"object-position:0 {place:.3}%\" alt=\"{name}, {plane}\" src=\"data:image/png;base64,{data}\">\
         <b class=\"w\">{left}</b><b class=\"e\">{right}</b><b class=\"n\">{top}</b><b class=\"s\">{bottom}</b>\
         <span class=\"scale\" style=\"width:{:.2}%\">{long} mm</span></div></div>",
        100.0 * long / across
    )
}
