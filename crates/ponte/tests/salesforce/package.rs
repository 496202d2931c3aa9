//! Our package of metadata, deployed into a simulated org as the vendor's tool does it.

use ponte_simulator::salesforce::DEFAULT_TOKEN;
use serde_json::{Value, json};
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

/// Deploys it, and checks that nothing was refused.
pub async fn deploy(org: &str) {
    // The client wants some TLS provider, even for plain HTTP.
    rustls::crypto::ring::default_provider().install_default().ok();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let (boundary, body) = package();
    let base = format!("{org}/services/data/v66.0/metadata/deployRequest");
    let kind = format!("multipart/form-data; boundary={boundary}");
    let asked = http.post(&base).bearer_auth(DEFAULT_TOKEN).header("content-type", kind).body(body);
    let answer: Value = asked.send().await.unwrap().json().await.unwrap();
    let id = answer["id"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let asked = http.get(format!("{base}/{id}")).bearer_auth(DEFAULT_TOKEN);
    let result: Value = asked.send().await.unwrap().json().await.unwrap();
    assert_eq!(result["deployResult"]["details"]["componentFailures"], json!([]));
    assert_eq!(result["deployResult"]["status"], "Succeeded");
}

/// The source's files of one object joined into one, zipped, in a multipart body.
fn package() -> (String, Vec<u8>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../integrations/salesforce");
    let source = root.join("force-app/main/default");
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut put = |name: String, text: String| {
        zip.start_file(name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    };
    put("package.xml".into(), read(&root.join("manifest/package.xml")));
    for object in inside(&source.join("objects")) {
        let name = object.file_name().unwrap().to_str().unwrap().to_owned();
        let own = object.join(format!("{name}.object-meta.xml"));
        let own = if own.exists() { inner(&read(&own), "CustomObject") } else { String::new() };
        let fields: String = inside(&object.join("fields"))
            .iter()
            .map(|f| format!("<fields>{}</fields>", inner(&read(f), "CustomField")))
            .collect();
        put(format!("objects/{name}.object"), format!("<CustomObject>{own}{fields}</CustomObject>"));
    }
    for set in inside(&source.join("permissionsets")) {
        let name = set.file_name().unwrap().to_str().unwrap().trim_end_matches("-meta.xml").to_owned();
        put(format!("permissionsets/{name}"), read(&set));
    }
    let zip = zip.finish().unwrap().into_inner();
    let boundary = "ponte-package".to_owned();
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"json\"\r\nContent-Type: application/json\r\n\r\n\
         {{\"deployOptions\":{{}}}}\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"p.zip\"\r\n\
         Content-Type: application/zip\r\n\r\n"
    )
    .into_bytes();
    body.extend(zip);
    body.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    (boundary, body)
}

fn inside(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    found.sort();
    found
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

fn inner(xml: &str, root: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{root}")).unwrap();
    let (_, rest) = rest.split_once('>').unwrap();
    rest.rsplit_once(&format!("</{root}>")).unwrap().0.to_owned()
}
