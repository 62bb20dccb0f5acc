//! The disk map and the manifest, pinned: a change here changes every image, and a
//! flashed server's disk cannot follow.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests do")]

use goldenfile::Mint;
use imagebuild::fs::Sha256Digest;
use imagebuild::image::disk::{Content, Contents, Disk};
use imagebuild::image::grub::BootCode;
use imagebuild::image::manifest::{ContentDigest, Manifest, Package, PartitionMap};
use imagebuild::plan::layout::{Growth, Label, Layout, MIB, Sizes};
use std::collections::BTreeMap;
use std::io::Write;

fn layout() -> Layout {
    let sizes = Sizes {
        esp: 256 * MIB,
        packages: 1024 * MIB,
        config: 256 * MIB,
        seed: MIB,
        state: 512 * MIB,
        state_growth: Growth::ToEndOfDisk,
        disk: 0,
    };
    Layout::new("arch4-web1", &sizes).unwrap()
}

fn boot() -> BootCode {
    BootCode { mbr: [0x11; 440], core: vec![0x22; 1024] }
}

fn contents() -> Contents {
    Contents::from([
        (Label::Esp, Content::bytes(vec![1; 5000])),
        (Label::State, Content::bytes([vec![2; 4096], vec![0; 100_000]].concat())),
    ])
}

fn manifest() -> Manifest {
    let map = PartitionMap::new(&layout(), &boot(), &contents()).unwrap();
    Manifest {
        image: "arch4-web1".into(),
        version: "1".into(),
        identity: map.identity().unwrap(),
        map,
        root_hashes: BTreeMap::from([(Label::APackages, Sha256Digest::of("root"))]),
        lock: Sha256Digest::of("lock"),
        kernel: "6.12.117+deb13-cloud-amd64".into(),
        packages: vec![Package {
            name: "nginx".into(),
            version: "1.26.3-3".into(),
            architecture: "amd64".into(),
        }],
    }
}

#[test]
fn goldens() {
    let mut mint = Mint::new("tests/goldens");
    let mut table = mint.new_goldenfile("disk-map.txt").unwrap();
    write!(table, "{}", layout()).unwrap();
    let mut json = mint.new_goldenfile("manifest.json").unwrap();
    write!(json, "{}", manifest().to_json().unwrap()).unwrap();
}

#[test]
fn a_layout_reads_back_from_json() {
    let json = serde_json::to_string(&layout()).unwrap();
    assert_eq!(serde_json::from_str::<Layout>(&json).unwrap(), layout());
}

#[test]
fn a_manifest_reads_back_and_notices_a_change() {
    let json = manifest().to_json().unwrap();
    assert_eq!(Manifest::from_json(&json).unwrap(), manifest());
    let changed = json.replacen("\"length\": 5000", "\"length\": 5001", 1);
    assert_ne!(changed, json);
    let error = Manifest::from_json(&changed).unwrap_err();
    assert_eq!(error.message(), "the manifest's identity is not that of its partition map");
}

#[test]
fn the_identity_is_the_same_whoever_digests() {
    let given = contents()
        .into_iter()
        .map(|(label, content)| {
            let digest = ContentDigest::of(&content).unwrap();
            (label, content.with_digest(digest))
        })
        .collect();
    let map = PartitionMap::new(&layout(), &boot(), &given).unwrap();
    assert_eq!(map, manifest().map);
}

#[test]
fn zeros_at_the_end_do_not_count_however_they_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (sparse, dense) = (folder.path().join("sparse"), folder.path().join("dense"));
    std::fs::write(&sparse, [3; 5000]).unwrap();
    std::fs::File::options().write(true).open(&sparse).unwrap().set_len(3 << 20).unwrap();
    std::fs::write(&dense, [vec![3; 5000], vec![0; (3 << 20) - 5000]].concat()).unwrap();
    let digest = ContentDigest::of_file(&sparse).unwrap();
    assert_eq!(digest, ContentDigest::of_file(&dense).unwrap());
    assert_eq!(digest.length, 8192);
    assert_eq!(digest.sha256, Sha256Digest::of([&[3; 5000][..], &[0; 3192]].concat()));
    assert_eq!(ContentDigest::of(&Content::bytes(vec![0; 9000])).unwrap(), ContentDigest::empty());
}

#[test]
fn a_content_that_is_too_large_stops_the_build() {
    let contents = Contents::from([(Label::Seed, Content::bytes(vec![1; 1 << 20 | 1]))]);
    let error = Disk::assemble(&layout(), &boot(), &contents).unwrap_err();
    assert_eq!(error.message(), "the content of partition `seed` is too large");
    assert!(PartitionMap::new(&layout(), &boot(), &contents).is_err());
}
