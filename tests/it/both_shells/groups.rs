//! Groups, whichever way they are sealed.

use serde_json::json;

use super::Side;

pub(super) async fn a_group_of_both(here: &Side<'_>, there: &Side<'_>, encryption: &str) {
    let create = ["group", "create", "--name", "7b", "--encryption", encryption];
    let made = here.shell.one(&create).await;
    let group = made["id"].as_str().unwrap();
    assert_eq!((&made["encryption"], &made["members"]), (&json!(encryption), &json!(1)));
    let run = async |side: &Side<'_>, name: &str, more: &[&str]| {
        side.shell.one(&[&["group", name, "--group", group], more].concat()).await
    };
    assert_eq!(run(here, "add", &[&there.id]).await["members"], 2);
    let said = async |from: &Side<'_>, to: &Side<'_>, text: &str| {
        let sent = from.shell.one(&["send", "--to", group, text]).await;
        assert_eq!((&sent["members"], &sent["left_out"]), (&json!(2), &json!([])));
        let got = to.shell.receive().await;
        assert_eq!(got.len(), 1, "{got:?}");
        assert_eq!((&got[0]["text"], &got[0]["group"]), (&json!(text), &json!(group)));
    };
    said(here, there, "Hallo 7b").await;
    said(there, here, "Hallo zurück").await;

    let members = there.shell.run(&["group", "members", "--group", group]).await.unwrap();
    let roles: Vec<_> = members.iter().map(|member| (&member["id"], &member["role"])).collect();
    let (moderator, member) = (json!("moderator"), json!("member"));
    let (here_id, there_id) = (json!(here.id), json!(there.id));
    assert!(roles.contains(&(&here_id, &moderator)) && roles.contains(&(&there_id, &member)), "{roles:?}");
    assert_eq!(run(here, "set", &["--posting", "moderators"]).await["posting"], "moderators");
    there.shell.run(&["send", "--to", group, "darf ich?"]).await.unwrap_err();
    run(here, "role", &[&there.id, "moderator"]).await;
    said(there, here, "jetzt schon").await;

    run(there, "leave", &[]).await;
    assert_eq!(run(here, "show", &[]).await["members"], 1);
    let link = run(here, "link", &["--uses", "1"]).await;
    let link = link["link"].as_str().unwrap();
    assert_eq!(there.shell.one(&["group", "join", "--link", link]).await["members"], 2);
    run(here, "link", &["--end"]).await;
    if encryption == "symmetric" {
        let before = run(here, "show", &[]).await["epoch"].as_u64();
        assert!(run(here, "new-key", &[]).await["epoch"].as_u64() > before);
    }
    said(here, there, "wieder da").await;
    let listed = there.shell.run(&["group", "list"]).await.unwrap();
    assert!(listed.iter().any(|line| line["id"] == group && line["member"] == true), "{listed:?}");
    run(here, "remove", &[&there.id]).await;
    assert_eq!(run(here, "archive", &[]).await["archived"], true);
    here.shell.run(&["send", "--to", group, "noch da?"]).await.unwrap_err();
}
