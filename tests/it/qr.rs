//! QR codes read back from pictures, as a phone's camera would.

/// What stands in the codes of a PNG picture, in no order.
pub(crate) fn read(png: &[u8]) -> Vec<String> {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    let (width, step) = (frame.width as usize, frame.color_type.samples());
    let grey = |x: usize, y: usize| {
        let at = (y * width + x) * step;
        let colours = &pixels[at..at + step.min(3)];
        u8::try_from(colours.iter().map(|part| usize::from(*part)).sum::<usize>() / colours.len()).unwrap()
    };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, frame.height as usize, grey);
    let codes = image.detect_grids();
    codes.into_iter().filter_map(|code| code.decode().ok()).map(|(_, text)| text).collect()
}
