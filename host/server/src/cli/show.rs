//! The format of tables, sizes and times in the answers of all commands.

use std::time::Duration;

/// Columns as wide as their widest cell, two spaces between.
pub(super) fn table<const N: usize>(rows: Vec<[String; N]>) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        // Not with a format's width, which ends at 65,535: a description or a payload may be longer.
        let padded = |(cell, width): (&String, usize)| {
            let padding = width - cell.chars().count();
            format!("{cell}{}", " ".repeat(padding))
        };
        text += row.iter().zip(widths).map(padded).collect::<Vec<_>>().join("  ").trim_end();
        text += "\n";
    }
    text
}

/// A size with about three digits: `812 B`, `84.3 KiB`, `1.6 MiB`.
#[expect(clippy::cast_precision_loss, reason = "a size for people")]
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}

/// A time with about three digits: `4.1 µs`, `36.2 ms`, `2.3 s`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 1e-3 {
        format!("{:.1} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.1} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_may_be_wider_than_any_terminal() {
        let long = "x".repeat(70_000);
        let rows = vec![[long.clone(), "y".to_owned()], ["é".to_owned(), String::new()]];
        assert_eq!(table(rows), format!("{long}  y\né\n"));
    }

    #[test]
    fn sizes_and_times_have_a_unit_that_fits() {
        assert_eq!([812, 86_323, 1_677_722].map(bytes), ["812 B", "84.3 KiB", "1.6 MiB"]);
        assert_eq!(
            [4_100, 36_200_000, 2_300_000_000].map(|ns| duration(Duration::from_nanos(ns))),
            ["4.1 µs", "36.2 ms", "2.3 s"]
        );
    }
}
