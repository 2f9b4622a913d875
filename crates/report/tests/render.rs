//! Reports as they are read: hostile text stays text, nothing is loaded, and a thousand incidents stay readable.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use model::Timestamp;
use report::{Act, Context, Document, Gap};

mod sample;

fn made() -> Timestamp {
    Timestamp::from_secs(sample::NIGHT + 10_000)
}

/// Every start tag with its attributes, as a browser would read them.
fn tags(page: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for part in page.split('<').skip(1) {
        let tag = part.split('>').next().unwrap_or_default();
        let name: String = tag.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        let mut attributes = Vec::new();
        let mut quoted = false;
        let mut word = String::new();
        for c in tag.chars().skip(name.len()) {
            match c {
                '"' => quoted = !quoted,
                ' ' | '\n' if !quoted => word.clear(),
                '=' if !quoted => attributes.push(std::mem::take(&mut word)),
                c if !quoted => word.push(c),
                _ => {}
            }
        }
        found.push((name.to_lowercase(), attributes));
    }
    found
}

fn is_clean(page: &str) {
    for (name, attributes) in tags(page) {
        assert!(
            !["script", "img", "iframe", "object", "embed", "base", "form"].contains(&name.as_str()),
            "{name}"
        );
        for attribute in attributes {
            assert!(
                !attribute.starts_with("on") && attribute != "style" && attribute != "src",
                "{name} {attribute}"
            );
        }
    }
    for c in page.chars() {
        assert!(!c.is_control() || c == '\n', "{c:?}");
        assert!(
            !matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'),
            "{c:?}"
        );
    }
    let linked = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    assert!(!linked.contains("=\"http") && !linked.contains("url("), "nothing is loaded from elsewhere");
}

fn eventful() -> Context {
    let at = |after: i64| Timestamp::from_secs(sample::NIGHT + after);
    Context {
        heading: Some("Harbour street".into()),
        names: [("192.168.20.17".parse().unwrap(), "cam-07".to_owned())].into(),
        acts: vec![Act {
            incident: Some(sample::id("takeover")),
            at: at(61),
            what: "Isolate cam-07 for 1 h".into(),
            who: "Bastide".into(),
            effect: "effective: 41 022 packets stopped".into(),
        }],
        gaps: vec![Gap { from: at(-600), to: at(-300), why: "the sensor was restarted".into() }],
    }
}

#[test]
fn hostile_text_stays_text() {
    let mut context = eventful();
    let hostile = sample::HOSTILE.join(" ");
    context.heading = Some(hostile.clone());
    context.names.insert("192.168.20.17".parse().unwrap(), hostile.clone());
    for act in &mut context.acts {
        act.what.clone_from(&hostile);
        act.who.clone_from(&hostile);
        act.effect.clone_from(&hostile);
    }
    let page = report::html_with(&sample::hostile(), made(), &context);
    is_clean(&page);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "shown as text");
    assert!(page.contains("⟨U+202E⟩"), "what acts is shown");
    for colour in [false, true] {
        let text = report::text(&sample::hostile(), colour, 100);
        let plain = text.replace("\u{1b}[0m", "");
        let left: Vec<&str> = plain.split('\u{1b}').skip(1).collect();
        assert!(
            left.iter()
                .all(|rest| colour && rest.starts_with('[') && rest.find('m').is_some_and(|at| at < 6))
        );
        assert!(!plain.contains(['\u{7}', '\u{202e}', '\0', '\r', '\u{9b}']));
    }
}

#[test]
fn every_page_is_clean_and_says_what_the_issue_asks() {
    let page = report::html_with(&sample::city(), made(), &eventful());
    is_clean(&page);
    for said in [
        "One attack succeeded or did harm (critical); one attack needs a person today (medium).",
        "cam-07 (192.168.20.17) was logged into from 203.0.113.66",
        "What happened",
        "How bad",
        "Do now",
        "When did what happen?",
        "Who did what to whom?",
        "What shows it?",
        "What to do",
        "street.pcap<wbr>:1600",
        "DRAFT",
        "Suspected of being caused by unlawful or malicious acts?",
        "cross-border",
        "to fill in",
        "Isolate cam-07 for 1 h",
        "the block at offset 33 554 432",
        "the sensor was restarted",
        "11 more parties are not listed here",
    ] {
        assert!(page.contains(said), "{said}");
    }
    assert!(
        report::html(&Document::default(), made()).contains("Nothing that looks like an attack was found.")
    );
}

#[test]
fn a_thousand_incidents_are_capped_and_it_is_said() {
    let document = sample::thousand();
    let page = report::html(&document, made());
    is_clean(&page);
    assert!(page.len() < 1_500_000, "{}", page.len());
    assert!(page.contains("The 25 worst incidents are told in full. 975 more"));
    assert_eq!(page.matches("<section class=\"incident\"").count(), 25);
    let text = report::text(&document, false, 100);
    assert!(text.lines().count() < 1_000, "{}", text.lines().count());
    assert!(text.contains("980 incidents more") || text.contains("more (--format json has all)"));
}

#[test]
fn text_keeps_to_its_width() {
    for width in [40, 72, 100, 140] {
        for document in [sample::city(), sample::thousand()] {
            let text = report::text(&document, false, width);
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
    assert_eq!(
        report::text(&sample::city(), false, 100),
        report::text(&sample::city(), true, 100)
            .split('\u{1b}')
            .enumerate()
            .map(|(index, part)| if index == 0 { part } else { part.split_once('m').unwrap().1 })
            .collect::<String>(),
        "colour adds nothing but colour"
    );
}

#[test]
fn reports_are_reproducible() {
    assert_eq!(report::html(&sample::city(), made()), report::html(&sample::city(), made()));
}

/// Writes the pages for looking at: `BASTIDE_LOOK=dir cargo test -p report -- --ignored`.
#[test]
#[ignore = "writes files to look at"]
#[expect(clippy::disallowed_methods, reason = "a directory to write to")]
fn write_pages_to_look_at() {
    let dir = std::path::PathBuf::from(std::env::var("BASTIDE_LOOK").unwrap());
    for (name, document, context) in [
        ("city", sample::city(), eventful()),
        ("hostile", sample::hostile(), Context::default()),
        ("thousand", sample::thousand(), Context::default()),
        ("empty", Document { inputs: sample::inputs(), ..Document::default() }, Context::default()),
    ] {
        std::fs::write(dir.join(format!("{name}.html")), report::html_with(&document, made(), &context))
            .unwrap();
        std::fs::write(dir.join(format!("{name}.txt")), report::text(&document, true, 100)).unwrap();
    }
}
