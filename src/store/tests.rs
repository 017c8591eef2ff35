use super::*;

fn shop() -> Name {
    Name::try_from("shop").expect("valid name")
}

fn record(revision: &str) -> Record {
    Record { healthy: vec![revision.to_owned()], ..Record::default() }
}

fn event(number: i64) -> Event {
    Event { at: Time(number), revision: "abc".into(), kind: "healthy".into(), message: format!("event {number}") }
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_record_outlives_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("driftless.db");
    let (store, damaged) = Store::open(&path).await.unwrap();
    assert_eq!(damaged, None);
    assert_eq!(store.load(&shop()).await.unwrap(), Record::default());
    store.write(vec![(shop(), record("one"))], Vec::new()).await.unwrap();
    store.write(vec![(shop(), record("two"))], Vec::new()).await.unwrap();
    drop(store);
    let (store, _) = Store::open(&path).await.unwrap();
    assert_eq!(store.load(&shop()).await.unwrap(), record("two"));
    assert_eq!(store.applications().await.unwrap(), [shop()]);
}

#[tokio::test]
async fn history_is_newest_first_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&folder.path().join("driftless.db")).await.unwrap();
    let other = Name::try_from("other").unwrap();
    store.write(Vec::new(), vec![(other.clone(), event(-1))]).await.unwrap();
    let events = (0..i64::from(HISTORY) + 5).map(|number| (shop(), event(number)));
    store.write(Vec::new(), events.collect()).await.unwrap();
    let events = store.history(&shop(), 2 * HISTORY).await.unwrap();
    assert_eq!(events.len(), HISTORY as usize);
    assert_eq!(events.first(), Some(&event(i64::from(HISTORY) + 4)));
    assert_eq!(store.history(&shop(), 1).await.unwrap().len(), 1);
    assert_eq!(store.history(&other, 10).await.unwrap(), [event(-1)]);
}

#[tokio::test]
async fn a_damaged_file_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("driftless.db");
    std::fs::write(&path, b"this was a database once, and is none any more; long enough for a header....................").unwrap();
    let (store, damaged) = Store::open(&path).await.unwrap();
    let damaged = damaged.expect("damage is reported");
    assert!(damaged.set_aside.exists());
    assert!(damaged.set_aside.file_name().unwrap().to_str().unwrap().starts_with("driftless.db.damaged-"));
    store.write(vec![(shop(), record("one"))], Vec::new()).await.unwrap();
    assert_eq!(store.load(&shop()).await.unwrap(), record("one"));
}

#[tokio::test]
async fn damage_in_the_middle_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("driftless.db");
    let (store, _) = Store::open(&path).await.unwrap();
    store.write(Vec::new(), (0..200).map(|number| (shop(), event(number))).collect()).await.unwrap();
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() > 8192, "{} bytes", bytes.len());
    bytes[4096..].fill(0xA5);
    std::fs::write(&path, bytes).unwrap();
    let (store, damaged) = Store::open(&path).await.unwrap();
    assert!(damaged.is_some(), "{:?}", files(folder.path()));
    assert_eq!(store.history(&shop(), 10).await.unwrap(), []);
}

#[tokio::test]
async fn without_a_disk_a_record_lasts_as_long_as_the_program() {
    let store = Store::in_memory().unwrap();
    store.write(vec![(shop(), record("one"))], Vec::new()).await.unwrap();
    assert_eq!(store.clone().load(&shop()).await.unwrap(), record("one"));
}

#[tokio::test]
async fn an_unreadable_record_is_taken_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("driftless.db");
    let (store, _) = Store::open(&path).await.unwrap();
    store.shared.connection.lock().unwrap().execute("INSERT INTO record VALUES ('shop', '{\"healthy\": 3}')", []).unwrap();
    assert_eq!(store.load(&shop()).await.unwrap(), Record::default());
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_the_hosts_business() {
    let error = Store::open(Path::new("/nonexistent/driftless.db")).await.unwrap_err();
    assert_eq!(error.class(), crate::host::Class::Host);
    assert!(error.hint().is_some());
    assert_eq!(error.to_string(), "failed to open database `/nonexistent/driftless.db`");
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_the_old_record_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&folder.path().join("driftless.db")).await.unwrap();
    store.write(vec![(shop(), record("one"))], Vec::new()).await.unwrap();
    store.shared.connection.lock().unwrap().pragma_update(None, "max_page_count", 8).unwrap();
    let large = Record { healthy: vec!["x".repeat(100_000)], ..Record::default() };
    let error = store.write(vec![(shop(), large)], vec![(shop(), event(1))]).await.unwrap_err();
    assert_eq!(error.class(), crate::host::Class::Host);
    assert!(error.hint().unwrap().contains("full"), "{error:?}");
    assert_eq!(store.load(&shop()).await.unwrap(), record("one"));
    assert_eq!(store.history(&shop(), 10).await.unwrap(), [], "all of it, or nothing");
}
