//! A day in the shop. It touches every library that a build script of the workspace
//! built, checks what each returns, and prints the same text on every machine, except for
//! the first line.

use std::error::Error;

use archive::{pack, pack_gzip, unpack, unpack_gzip};
use ledger::Ledger;
use receipts::Receipt;

const ORDER: [&str; 3] = ["sextant", "rope", "lantern"];

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "revision {}, pages of {} bytes",
        env!("SHOP_REVISION"),
        measures::page_size()
    );
    println!("products: {}", catalogue::len());

    let ledger = Ledger::open()?;
    let mut papers = String::new();
    for code in ORDER {
        let product = catalogue::product(code).ok_or("a product is missing")?;
        ledger.sell(code, product.cents)?;
        println!("sold: {}, {} cents", product.name, product.cents);
        let receipt = Receipt {
            code: code.to_owned(),
            cents: product.cents,
        };
        assert_eq!(Receipt::from_json(&receipt.to_json())?, receipt);
        papers.push_str(&receipt.to_json());
        papers.push('\n');
    }

    let prices = ORDER
        .iter()
        .filter_map(|code| catalogue::product(code))
        .map(|p| p.cents);
    let total = measures::sum(prices).ok_or("too rich")?;
    assert_eq!(i64::from(total), ledger.total()?);
    println!("total: {total} cents");

    let papers = papers.as_bytes();
    let signature = receipts::sign(papers);
    assert!(receipts::verify(papers, &signature));
    assert!(!receipts::verify(b"forged", &signature));
    println!(
        "receipts: {}, signed {}",
        Receipt::FIELDS.join(" and "),
        hex(&signature[..8])
    );

    assert_eq!(transport::open(&transport::seal(papers)?)?, papers);
    let digest = transport::digest(papers);
    assert_eq!(digest, receipts::sha256(papers), "OpenSSL and ring agree");
    println!("digest: {}", hex(&digest[..8]));

    let year = papers.repeat(365);
    assert_eq!(unpack(&pack(&year)?)?, year);
    assert_eq!(unpack_gzip(&pack_gzip(&year)?)?, year);
    println!("archived: {} bytes", year.len());

    let dir = tempfile::tempdir()?;
    println!("kept: {}", history::keep(dir.path(), "receipts", papers)?);
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
