//! The report of a cleaning as a page to look at: no scripts, one file, prints well.

use ponte_domain::Millis;
use ponte_domain::ports::people::ImportRun;
use ponte_engine::people::Cleaned;
use std::fmt::Write as _;

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
content=\"width=device-width\"><title>Contacts: cleaning report</title><style>body{font:15px/1.55 system-ui,sans-serif;max-width:\
56rem;margin:2.5rem auto;padding:0 1rem;color:#17212b;background:#fff}h1{font-size:1.6rem;margin:0}h2{font-size:1.05rem;margin:2.2rem 0 \
.6rem}p.sub{color:#5b6775;margin:.2rem 0 1.6rem}.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:\
.8rem}.tile{border:1px solid #dfe5ec;border-radius:.7rem;padding:.8rem 1rem}.tile b{display:block;font-size:1.5rem;font-variant-\
numeric:tabular-nums}.tile span{color:#5b6775}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.35rem .8rem \
.35rem 0;border-bottom:1px solid #eef1f5;font-variant-numeric:tabular-nums}th{color:#5b6775;font-weight:500}td.n{text-align:right;\
width:8rem}.bar{background:#1f9d63;height:.55rem;border-radius:.3rem;min-width:2px}@media(prefers-color-scheme:dark){body{background:\
#12181f;color:#e6ebf1}.tile{border-color:#2b3542}td,th{border-color:#222c37}}</style></head><body>";

/// The page.
#[must_use]
pub fn page(c: &Cleaned, imports: &[ImportRun], at: Millis) -> String {
    let mut html = HEAD.to_owned();
    let _ = write!(
        html,
        "<h1>Cleaning report</h1><p class=\"sub\">{} UTC</p><div class=\"tiles\">",
        crate::commands::when(at)
    );
    let share = |n: u64| if c.people == 0 { 0.0 } else { n as f64 * 100.0 / c.people as f64 };
    for (n, what) in [
        (c.people, "people before".to_owned()),
        (c.people_after, "people after".to_owned()),
        (c.merged, format!("merged ({:.1} %)", share(c.merged))),
        (c.for_review, "pairs for review".to_owned()),
        (c.with_number, format!("with a number ({:.1} %)", share(c.with_number))),
    ] {
        let _ = write!(html, "<div class=\"tile\"><b>{}</b><span>{what}</span></div>", thousands(n));
    }
    html.push_str("</div>");
    bars(&mut html, "Why people were merged", c.reasons.iter().map(|(k, n)| (k.replace('_', " "), *n)).collect());
    bars(&mut html, "Labels", c.labelled.iter().map(|(k, n)| (k.replace('_', " "), *n)).collect());
    if !imports.is_empty() {
        html.push_str(
            "<h2>Imports</h2><table><tr><th>Source</th><th>Begun</th><th>Rows</th><th>New</th><th>Changed</th>\
             <th>Nothing new</th><th>State</th></tr>",
        );
        for run in imports {
            let state = if run.finished_at.is_some() { "done" } else { "not finished" };
            let _ = write!(
                html,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{state}</td></tr>",
                run.source.replace('&', "&amp;").replace('<', "&lt;"),
                crate::commands::when(run.started_at),
                thousands(run.applied),
                thousands(run.created),
                thousands(run.updated),
                thousands(run.unchanged)
            );
        }
        html.push_str("</table>");
    }
    html.push_str("</body></html>");
    html
}

fn bars(html: &mut String, title: &str, mut rows: Vec<(String, u64)>) {
    let _ = write!(html, "<h2>{title}</h2>");
    if rows.is_empty() {
        html.push_str("<p class=\"sub\">None.</p>");
        return;
    }
    rows.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let most = rows.first().map_or(1, |(_, n)| *n).max(1);
    html.push_str("<table>");
    for (what, n) in rows {
        let width = n as f64 * 100.0 / most as f64;
        let _ = write!(
            html,
            "<tr><td>{what}</td><td style=\"width:45%\"><div class=\"bar\" style=\"width:{width:.1}%\"></div></td>\
             <td class=\"n\">{}</td></tr>",
            thousands(n)
        );
    }
    html.push_str("</table>");
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_an_empty_report_is_a_page() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert!(page(&Cleaned::default(), &[], 0).ends_with("</html>"));
    }
}
