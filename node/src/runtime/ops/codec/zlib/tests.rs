use super::*;

const FORMATS: [&str; 4] = ["gzip", "deflate", "deflate-raw", "brotli"];

/// What comes out of all steps that `input` takes.
fn feed(zlib: &mut Zlib, mut input: &[u8], last: bool) -> Result<Vec<u8>, String> {
    let mut output = Vec::new();
    loop {
        let step = zlib.step(input, last)?;
        // The library that reads gzip looks at its output only between two buffers.
        assert!(step.output.len() <= limits::INFLATED_STEP_BYTES + 128 * 1024, "{} bytes", step.output.len());
        output.extend(step.output);
        input = &input[step.read..];
        if step.is_done {
            assert!(input.is_empty());
            return Ok(output);
        }
    }
}

fn packed(format: &str, text: &[u8]) -> Vec<u8> {
    let mut compress = Zlib::new(format, true).unwrap();
    let pieces = text.chunks(64 * 1024).map(|piece| compress.step(piece, false).unwrap().output);
    let mut packed = pieces.collect::<Vec<_>>().concat();
    packed.extend(compress.step(b"", true).unwrap().output);
    packed
}

#[test]
fn a_piece_that_its_sender_flushed_comes_out_before_the_next_goes_in() {
    let mut encoder = write::GzEncoder::new(Vec::new(), Compression::default());
    let mut decompress = Zlib::new("gzip", false).unwrap();
    for event in ["data: one\n\n", "data: two\n\n"] {
        encoder.write_all(event.as_bytes()).unwrap();
        encoder.flush().unwrap();
        let piece = std::mem::take(encoder.get_mut());
        assert_eq!(feed(&mut decompress, &piece, false).unwrap(), event.as_bytes());
    }
    let end = encoder.finish().unwrap();
    assert_eq!(feed(&mut decompress, &end, true).unwrap(), b"");
}

#[test]
fn every_format_gives_back_what_it_was_given() {
    let text = b"skerry ".repeat(5000);
    for format in FORMATS {
        let mut compress = Zlib::new(format, true).unwrap();
        let mut packed = feed(&mut compress, &text[..100], false).unwrap();
        packed.extend(feed(&mut compress, &text[100..], true).unwrap());
        assert!(packed.len() < text.len() / 10, "{format}");
        let mut decompress = Zlib::new(format, false).unwrap();
        let mut unpacked = feed(&mut decompress, &packed[..10], false).unwrap();
        unpacked.extend(feed(&mut decompress, &packed[10..], true).unwrap());
        assert_eq!(unpacked, text, "{format}");
    }
}

#[test]
fn a_step_hands_over_a_mebibyte_and_the_next_goes_on() {
    let text: Vec<u8> = (0..5_000_000_u32).map(|at| (at >> 12) as u8 ^ (at % 7) as u8).collect();
    for format in FORMATS {
        let packed = packed(format, &text);
        let first = Zlib::new(format, false).unwrap().step(&packed, true).unwrap();
        assert!(!first.is_done, "{format}");
        assert!(feed(&mut Zlib::new(format, false).unwrap(), &packed, true).unwrap() == text, "{format}");
        let mut decompress = Zlib::new(format, false).unwrap();
        let pieces = packed.chunks(97).map(|piece| feed(&mut decompress, piece, false).unwrap());
        let mut unpacked = pieces.collect::<Vec<_>>().concat();
        unpacked.extend(feed(&mut decompress, b"", true).unwrap());
        assert!(unpacked == text, "{format} in pieces");
    }
}

#[test]
fn the_output_of_one_input_is_bounded() {
    let packed = packed("deflate", &vec![0; limits::INFLATED_BYTES_MAX + 1]);
    assert!(feed(&mut Zlib::new("deflate", false).unwrap(), &packed, true).is_err());
    // Not that of many.
    let mut decompress = Zlib::new("deflate", false).unwrap();
    let lengths = packed.chunks(16 * 1024).map(|piece| feed(&mut decompress, piece, false).unwrap().len());
    assert_eq!(lengths.sum::<usize>(), limits::INFLATED_BYTES_MAX + 1);
}

#[test]
fn cut_off_and_trailing_input_are_errors() {
    for format in FORMATS {
        let packed = packed(format, b"hello hello");
        let cut = &packed[..packed.len() - 2];
        assert!(feed(&mut Zlib::new(format, false).unwrap(), cut, true).is_err(), "{format} cut");
        let long = [&packed[..], b"x"].concat();
        assert!(feed(&mut Zlib::new(format, false).unwrap(), &long, true).is_err(), "{format} trailing");
        let mut decompress = Zlib::new(format, false).unwrap();
        let mut unpacked = feed(&mut decompress, &packed, false).unwrap();
        unpacked.extend(feed(&mut decompress, b"", true).unwrap());
        assert_eq!(unpacked, b"hello hello", "{format} with a late end");
        assert!(feed(&mut Zlib::new(format, false).unwrap(), b"", true).is_err(), "{format} of nothing");
    }
}

#[test]
fn the_sender_can_not_choose_a_brotli_window_past_the_standard() {
    let mut decompress = Zlib::new("brotli", false).unwrap();
    assert_eq!(feed(&mut decompress, b"", false).unwrap(), b"");
    assert!(feed(&mut decompress, &[0x11, 0x1e, 0x00, 0x00], false).is_err());
}

#[test]
fn a_brotli_decompressor_weighs_what_its_sender_asks_for() {
    let mut wide = brotli::CompressorWriter::new(Vec::new(), BROTLI_BUFFER_BYTES, BROTLI_QUALITY, 24);
    wide.write_all(b"skerry skerry").unwrap();
    wide.flush().unwrap();
    for (packed, bytes) in [(wide.get_ref().clone(), 16 << 20), (packed("brotli", b"skerry"), 0)] {
        let mut decompress = Zlib::new("brotli", false).unwrap();
        assert!(decompress.bytes() < 1 << 20);
        feed(&mut decompress, &packed, false).unwrap();
        assert!((bytes..bytes + (1 << 20)).contains(&decompress.bytes()), "{}", decompress.bytes());
    }
}

#[test]
fn unknown_formats_are_refused() {
    assert!(Zlib::new("lzma", true).is_none());
    assert!(Zlib::new("lzma", false).is_none());
}
