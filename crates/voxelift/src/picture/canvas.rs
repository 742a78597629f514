//! A canvas of greys or of places in a palette, and its PNG bytes.

use super::font;

/// Pixels of one byte, row by row from the top.
#[derive(Clone, Debug)]
pub struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    /// A canvas of one grey.
    pub fn filled(width: usize, height: usize, grey: u8) -> Self {
        Self {
            width,
            height,
            pixels: vec![grey; width * height],
        }
    }

    /// Sets a pixel; what lies outside is left out.
    pub fn set(&mut self, x: usize, y: usize, grey: u8) {
        if x < self.width && y < self.height {
            self.pixels[y * self.width + x] = grey;
        }
    }

    /// Fills a rectangle.
    pub fn fill(&mut self, [x, y]: [usize; 2], [width, height]: [usize; 2], grey: u8) {
        for row in y..y + height {
            (x..x + width).for_each(|column| self.set(column, row, grey));
        }
    }

    /// Writes a line of text with its upper left corner at (x, y), cut where `room` pixels end; each pixel of the font
    /// is a square of `size`.
    pub fn text(&mut self, text: &str, [x, y]: [usize; 2], room: usize, size: usize, grey: u8) {
        for (i, character) in text.chars().take(room / (font::ADVANCE * size)).enumerate() {
            for (row, bits) in font::glyph(character).into_iter().enumerate() {
                for column in (0..5).filter(|column| bits >> (4 - column) & 1 == 1) {
                    let at = [x + (i * font::ADVANCE + column) * size, y + row * size];
                    self.fill(at, [size; 2], grey);
                }
            }
        }
    }

    /// The canvas as an 8-bit greyscale PNG file.
    pub fn png(&self) -> Vec<u8> {
        self.coloured(None)
    }

    /// The canvas as a PNG file whose pixels are places in a palette.
    pub fn indexed_png(&self, palette: &[[u8; 3]]) -> Vec<u8> {
        self.coloured(Some(palette.concat()))
    }

    fn coloured(&self, palette: Option<Vec<u8>>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let size = |n: usize| u32::try_from(n).expect("a picture is far smaller than 2^32 pixels wide");
        let mut encoder = png::Encoder::new(&mut bytes, size(self.width), size(self.height));
        match palette {
            Some(palette) => {
                encoder.set_color(png::ColorType::Indexed);
                encoder.set_palette(palette);
            }
            None => encoder.set_color(png::ColorType::Grayscale),
        }
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        let mut writer = encoder.write_header().expect("writing to memory does not fail");
        writer
            .write_image_data(&self.pixels)
            .expect("the pixels fill the canvas");
        writer.finish().expect("writing to memory does not fail");
        bytes
    }
}
