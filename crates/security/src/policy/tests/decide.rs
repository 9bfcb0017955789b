//! Deny wins, default deny, whom rules are for, what variables come to.

use super::super::{Action, Effect, Rule};
use super::*;

#[test]
fn without_a_file_a_device_has_its_own_topics_and_no_others() {
    let rules = PolicyFile::built_in();
    let pump = client("pump");

    assert!(publishes(&rules, &pump, "devices/pump/state"));
    assert!(receives(&rules, &pump, "devices/pump/state"));
    assert_eq!(subscribes(&rules, &pump, "devices/pump/#"), Subscribing::Granted);

    assert!(!publishes(&rules, &pump, "devices/gate/state"));
    assert!(!receives(&rules, &pump, "devices/gate/state"));
    assert_eq!(subscribes(&rules, &pump, "devices/gate/#"), Subscribing::Refused);
    assert_eq!(subscribes(&rules, &pump, "$SYS/#"), Subscribing::Refused);
    assert_eq!(subscribes(&rules, &pump, "$SYS/broker/uptime"), Subscribing::Refused);
    assert!(!receives(&rules, &pump, "$SYS/broker/uptime"));
}

/// A wider filter is granted with what is allowed of it; that some tools need it is the configuration's matter.
#[test]
fn a_wider_subscription_is_filtered() {
    let rules = PolicyFile::built_in();

    for filter in ["#", "devices/#", "devices/+/state", "+/pump/#", "+/+"] {
        assert_eq!(subscribes(&rules, &client("pump"), filter), Subscribing::Filtered, "{filter}");
    }
    assert_eq!(subscribes(&rules, &client("pump"), "+"), Subscribing::Refused);
}

#[test]
fn without_rules_nothing_is_allowed() {
    let rules = rules("");

    assert!(!publishes(&rules, &client("a"), "a"));
    assert!(!receives(&rules, &client("a"), "a"));
    assert_eq!(subscribes(&rules, &client("a"), "#"), Subscribing::Refused);
}

#[test]
fn a_denial_wins_wherever_it_stands() {
    for order in ["deny first", "allow first"] {
        let deny = "[[rule]]\ndeny = 'subscribe'\ntopics = 'a/secret'\n";
        let allow = "[[rule]]\nallow = ['publish', 'subscribe']\ntopics = 'a/#'\n";
        let text = if order == "deny first" { format!("{deny}{allow}") } else { format!("{allow}{deny}") };
        let rules = rules(&text);

        assert_eq!(subscribes(&rules, &client("x"), "a/secret"), Subscribing::Refused);
        assert_eq!(subscribes(&rules, &client("x"), "a/+"), Subscribing::Filtered);
        assert_eq!(subscribes(&rules, &client("x"), "a/b"), Subscribing::Granted);
        assert!(!receives(&rules, &client("x"), "a/secret"));
        assert!(receives(&rules, &client("x"), "a/b"));
        assert!(publishes(&rules, &client("x"), "a/secret"));
    }
}

#[test]
fn several_rules_together_cover_a_filter() {
    let rules = rules(
        "[[rule]]\nallow = 'subscribe'\ntopics = ['a', 'a/+', 'a/+/+/#']\n\
         [[rule]]\nallow = 'subscribe'\nfor = 'user:anna'\ntopics = '${username}/+'\n",
    );

    assert_eq!(subscribes(&rules, &client("x"), "a/#"), Subscribing::Granted);
    assert_eq!(subscribes(&rules, &user("x", "a"), "a/#"), Subscribing::Granted);
    assert_eq!(subscribes(&rules, &user("x", "anna"), "anna/#"), Subscribing::Filtered);
    assert_eq!(subscribes(&rules, &user("x", "anna"), "anna/+"), Subscribing::Granted);
}

#[test]
fn wildcards_at_the_start_leave_the_servers_topics_out() {
    let all = rules("[[rule]]\nallow = ['subscribe', 'publish']\ntopics = ['#', '+/x']\n");
    assert_eq!(subscribes(&all, &client("x"), "#"), Subscribing::Granted);
    assert_eq!(subscribes(&all, &client("x"), "$SYS/#"), Subscribing::Refused);
    assert!(!receives(&all, &client("x"), "$SYS/x"));
    assert!(!publishes(&all, &client("x"), "$SYS/x"));

    let system = rules("[[rule]]\nallow = 'subscribe'\ntopics = '$SYS/#'\n");
    assert_eq!(subscribes(&system, &client("x"), "$SYS/#"), Subscribing::Granted);
    assert_eq!(subscribes(&system, &client("x"), "$SYS/+/a"), Subscribing::Granted);
    assert_eq!(subscribes(&system, &client("x"), "#"), Subscribing::Refused);
    assert!(receives(&system, &client("x"), "$SYS"));
}

#[test]
fn rules_are_for_users_clients_groups_roles_and_attributes() {
    let text = "
        [groups]
        crew = ['user:anna', 'client:panel']
        [roles]
        reader = ['group:crew', 'user:eve']
        [[rule]]
        for = ['role:reader', 'attribute:cert.ou=lab']
        allow = 'subscribe'
        topics = 'plant/#'
        [[rule]]
        for = 'anonymous'
        allow = 'publish'
        topics = 'guest'
        [[rule]]
        allow = 'publish'
        topics = 'crews/${group}/log'";
    let rules = rules(text);
    let mut member = client("x");
    member.groups = vec!["crew".into(), "night".into()];
    let mut lab = client("x");
    lab.attributes.insert("cert.ou".into(), "lab".into());

    for identity in [user("x", "anna"), client("panel"), user("x", "eve"), member.clone(), lab.clone()] {
        assert!(receives(&rules, &identity, "plant/1"), "{identity:?}");
    }
    assert!(!receives(&rules, &user("x", "bob"), "plant/1"));
    assert!(publishes(&rules, &client("x"), "guest"));
    assert!(!publishes(&rules, &user("x", "bob"), "guest"));
    assert!(publishes(&rules, &member, "crews/night/log"));
    assert!(publishes(&rules, &user("x", "anna"), "crews/crew/log"));
    assert!(!publishes(&rules, &user("x", "anna"), "crews/night/log"));
    assert!(!publishes(&rules, &user("x", "eve"), "crews/crew/log"));
}

#[test]
fn conditions_hold_for_qos_and_retain() {
    let rules = rules(
        "[[rule]]\nallow = 'publish'\ntopics = 'a'\nqos = [0, 1]\n\
         [[rule]]\ndeny = 'publish'\ntopics = 'a'\nqos = 0\nretain = true\n",
    );
    let policy = rules.compile(&client("x"));

    assert!(policy.may_publish("a", QoS::AtMostOnce, false));
    assert!(!policy.may_publish("a", QoS::AtMostOnce, true));
    assert!(policy.may_publish("a", QoS::AtLeastOnce, true));
    assert!(!policy.may_publish("a", QoS::ExactlyOnce, false));
}

/// A delivery does not show at which QoS it was subscribed to, so it cannot be filtered by that.
#[test]
fn a_subscription_that_only_its_qos_makes_too_wide_is_refused() {
    let rules = rules(
        "[[rule]]\nallow = 'subscribe'\ntopics = 'a/#'\n\
         [[rule]]\ndeny = 'subscribe'\ntopics = 'a/b'\nqos = 2\n",
    );
    let policy = rules.compile(&client("x"));

    assert_eq!(policy.may_subscribe("a/#", QoS::ExactlyOnce), Subscribing::Refused);
    assert_eq!(policy.may_subscribe("a/#", QoS::AtLeastOnce), Subscribing::Granted);
    assert_eq!(policy.may_subscribe("#", QoS::AtLeastOnce), Subscribing::Filtered);
    assert_eq!(policy.may_subscribe("a/c", QoS::ExactlyOnce), Subscribing::Granted);
}

#[test]
fn receive_alone_permits_what_a_wider_subscription_brings() {
    let rules = rules(
        "[[rule]]\nallow = 'subscribe'\ntopics = 'a/#'\n\
         [[rule]]\nallow = 'receive'\ntopics = 'b/#'\n\
         [[rule]]\ndeny = 'receive'\ntopics = 'a/x'\n",
    );

    assert!(receives(&rules, &client("c"), "b/1"));
    assert_eq!(subscribes(&rules, &client("c"), "b/#"), Subscribing::Refused);
    assert_eq!(subscribes(&rules, &client("c"), "a/x"), Subscribing::Refused);
    assert_eq!(subscribes(&rules, &client("c"), "a/#"), Subscribing::Filtered);
}

#[test]
fn a_value_that_is_no_plain_level_lifts_no_limit() {
    let rules = rules(
        "[[rule]]\nallow = ['publish', 'subscribe']\ntopics = ['d/${client_id}/#', '${client_id}/up']\n\
         [[rule]]\nallow = 'publish'\ntopics = 'all/#'\n\
         [[rule]]\ndeny = 'publish'\ntopics = 'all/${client_id}/off'\n",
    );

    for hostile in ["+", "#", "a/b", "a/#", "", "a\0b", "+/+"] {
        let policy = rules.compile(&client(hostile));
        for topic in ["d/other/x", "d/a/b/x", "d/+/x", "d//x", "d/x", "d", "x/up", "a/b/up", "/up"] {
            assert!(!policy.may_publish(topic, QoS::AtMostOnce, false), "{hostile:?} {topic}");
            assert!(!policy.may_receive(topic), "{hostile:?} {topic}");
        }
        assert_eq!(policy.may_subscribe("#", QoS::AtMostOnce), Subscribing::Refused, "{hostile:?}");
        // The denial stands, for every value of that level.
        assert!(policy.may_publish("all/x/on", QoS::AtMostOnce, false));
        assert!(!policy.may_publish("all/x/off", QoS::AtMostOnce, false), "{hostile:?}");
    }
    // `$SYS` would be the Server's topics.
    let system = rules.compile(&client("$SYS"));
    assert!(!system.may_publish("$SYS/up", QoS::AtMostOnce, false));
    assert!(system.may_publish("d/$SYS/up", QoS::AtMostOnce, false));
}

#[test]
fn a_denial_of_the_servers_topics_by_name_stands() {
    let rules = rules(
        "[[rule]]\nallow = 'publish'\ntopics = '$SYS/#'\n[[rule]]\ndeny = 'publish'\ntopics = '${client_id}/x'\n",
    );

    assert!(!publishes(&rules, &client("$SYS"), "$SYS/x"));
    assert!(publishes(&rules, &client("other"), "$SYS/x"));
}

#[test]
fn rules_that_credentials_carry_are_about_their_client_alone_and_no_stronger_than_denials() {
    let rules = rules("[[rule]]\ndeny = 'publish'\ntopics = 'a/secret'\n");
    let carry = |effect, filter| Rule::carried(effect, &[Action::Publish], filter).unwrap();
    let carried = [
        carry(Effect::Allow, "a/#"),
        carry(Effect::Deny, "a/${client_id}"),
        carry(Effect::Allow, "${client_id}"),
    ];
    let policy = rules.compile_with(&client("x"), &carried);

    assert!(policy.may_publish("a/b", QoS::AtMostOnce, false));
    assert!(policy.may_publish("x", QoS::AtMostOnce, false));
    assert!(!policy.may_publish("a/x", QoS::AtMostOnce, false));
    assert!(!policy.may_publish("a/secret", QoS::AtMostOnce, false));
    assert!(!publishes(&rules, &client("x"), "a/b"));
}

#[test]
fn a_rule_about_a_value_that_a_client_lacks_is_not_about_it() {
    let rules = rules(
        "[[rule]]\nallow = 'publish'\ntopics = ['u/${username}/#', 'all/#']\n\
         [[rule]]\ndeny = 'publish'\ntopics = 'all/${cert.cn}'\n",
    );

    assert!(!publishes(&rules, &client("x"), "u/x/a"));
    assert!(publishes(&rules, &client("x"), "all/x"));
    let mut named = client("x");
    named.attributes.insert("cert.cn".into(), "x".into());
    assert!(!publishes(&rules, &named, "all/x"));
    assert!(publishes(&rules, &named, "all/y"));
}

#[test]
fn more_groups_than_can_be_put_in_one_by_one_allow_nothing_and_deny_all() {
    let rules = rules(
        "[[rule]]\nallow = 'publish'\ntopics = ['g/${group}', 'all/+']\n\
         [[rule]]\ndeny = 'publish'\ntopics = 'all/${group}'\n",
    );
    let mut many = client("x");
    many.groups = (0..=crate::policy::GROUPS_MAXIMUM).map(|number| number.to_string().into()).collect();

    assert!(!publishes(&rules, &many, "g/0"));
    assert!(!publishes(&rules, &many, "all/other"));
    many.groups.pop();
    assert!(publishes(&rules, &many, "g/0"));
    assert!(publishes(&rules, &many, "all/other"));
}

#[test]
fn a_dollar_before_a_brace_is_text_when_doubled() {
    let rules = rules("[[rule]]\nallow = 'publish'\ntopics = 'a/$${client_id}/${client_id}$'\n");

    assert!(publishes(&rules, &client("x"), "a/${client_id}/x$"));
    assert!(!publishes(&rules, &client("x"), "a/x/x$"));
}

#[test]
fn many_clients_share_what_is_the_same_for_all() {
    let text: String =
        (0..1_000).map(|at| format!("[[rule]]\nallow = 'publish'\ntopics = 'a/{at}'\n")).collect();
    let rules = rules(&text);
    let identities: Vec<_> = (0..3).map(|at| client(&at.to_string())).collect();
    let policies: Vec<_> = identities.iter().map(|one| rules.compiled(&rules.standing(one), &[])).collect();

    assert!(policies.windows(2).all(|pair| pair[0].shares_with(&pair[1])));
}

/// A question that would take for ever is answered with the safe answer.
#[test]
fn a_question_that_is_too_hard_is_filtered() {
    let topics = (0..14).map(|at| {
        let mut levels = vec!["+"; 14];
        levels[at] = "a";
        format!("'{}'", levels.join("/"))
    });
    let rules = rules(&format!(
        "[[rule]]\nallow = 'subscribe'\ntopics = [{}]\n",
        topics.collect::<Vec<_>>().join(", ")
    ));
    let filter = vec!["+"; 14].join("/");

    assert_ne!(subscribes(&rules, &client("x"), &filter), Subscribing::Granted);
    let everything = rules.compile(&client("x")).may_subscribe(&"+/".repeat(30_000), QoS::AtMostOnce);
    assert_ne!(everything, Subscribing::Granted);
}
