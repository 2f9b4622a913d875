//! The pen for the two drawings: escapes every text, and paints by class only, so that a page that forbids inline
//! style shows them and both themes colour them.

use crate::escaped;
use std::fmt::Write as _;

/// Width of a letter of the drawings' 12 px sans text, on the generous side.
pub(crate) const LETTER: f64 = 6.7;

/// A drawing in the making.
pub(crate) struct Pen {
    body: String,
    width: f64,
}

impl Pen {
    pub(crate) const fn new(width: f64) -> Self {
        Self { body: String::new(), width }
    }

    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.push(format_args!(
            r#"<line class="{class}" x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}"/>"#,
            from.0, from.1, to.0, to.1
        ));
    }

    /// A rectangle with an optional tooltip.
    pub(crate) fn rect(
        &mut self,
        class: &str,
        at: (f64, f64),
        size: (f64, f64),
        radius: f64,
        tip: Option<&str>,
    ) {
        let tip = tip.map(|tip| format!("<title>{}</title>", escaped(tip))).unwrap_or_default();
        self.push(format_args!(
            r#"<rect class="{class}" x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}" rx="{radius}">{tip}</rect>"#,
            at.0,
            at.1,
            size.0.max(0.5),
            size.1.max(0.5)
        ));
    }

    /// A closed shape by its path, with a tooltip.
    pub(crate) fn path(&mut self, class: &str, path: &str, tip: Option<&str>) {
        let tip = tip.map(|tip| format!("<title>{}</title>", escaped(tip))).unwrap_or_default();
        self.push(format_args!(r#"<path class="{class}" d="{path}">{tip}</path>"#));
    }

    pub(crate) fn text(
        &mut self,
        class: &str,
        at: (f64, f64),
        anchor: Anchor,
        text: &str,
        tip: Option<&str>,
    ) {
        let tip = tip.map(|tip| format!("<title>{}</title>", escaped(tip))).unwrap_or_default();
        self.push(format_args!(
            r#"<text class="{class}" x="{:.1}" y="{:.1}"{}>{tip}{}</text>"#,
            at.0,
            at.1,
            anchor.attribute(),
            escaped(text)
        ));
    }

    /// The finished drawing. `name` must be unique on its page; `title` and `description` are read aloud.
    pub(crate) fn finish(
        self,
        name: &str,
        class: &str,
        title: &str,
        description: &str,
        height: f64,
    ) -> String {
        let name = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect::<String>();
        format!(
            concat!(
                r#"<svg class="drawing {class}" viewBox="0 0 {width:.0} {height:.0}" role="img" "#,
                r#"aria-labelledby="{name}-t {name}-d" xmlns="http://www.w3.org/2000/svg">"#,
                r#"<title id="{name}-t">{title}</title><desc id="{name}-d">{description}</desc>{body}</svg>"#
            ),
            class = class,
            width = self.width,
            height = height,
            name = name,
            title = escaped(title),
            description = escaped(description),
            body = self.body,
        )
    }

    fn push(&mut self, markup: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(markup);
    }
}

/// Where a text stands to its point.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    const fn attribute(self) -> &'static str {
        match self {
            Self::Start => "",
            Self::Middle => r#" text-anchor="middle""#,
            Self::End => r#" text-anchor="end""#,
        }
    }
}

/// How many letters fit into a width.
pub(crate) fn letters_in(width: f64) -> usize {
    (width / LETTER).floor().max(1.0) as usize
}

/// How wide a text will be.
pub(crate) fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}
