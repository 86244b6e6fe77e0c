use super::*;
use crate::proto::flow::layer4::Protocol;
use crate::proto::flow::{Endpoint, Ip, Layer4, Tcp, TcpFlags, Tunnel, Workload};

fn flow() -> Flow {
    let flags = TcpFlags { syn: true, ..TcpFlags::default() };
    let tcp = Tcp { source_port: 40_000, destination_port: 80, flags: Some(flags) };
    Flow {
        verdict: 2,
        drop_reason_desc: 76,
        time: Some(prost_types::Timestamp { seconds: 1_750_000_000, nanos: 5 }),
        l4: Some(Layer4 { protocol: Some(Protocol::Tcp(tcp)) }),
        ip: Some(Ip { source: "10.0.0.1".into(), ..Ip::default() }),
        source: Some(Endpoint {
            identity: 4_294_967_295,
            labels: vec!["k8s:app=api".into(), "k8s:tier=db".into()],
            workloads: vec![Workload { name: "api".into(), kind: "Deployment".into() }],
            ..Endpoint::default()
        }),
        tunnel: Some(Tunnel { protocol: 2, ..Tunnel::default() }),
        event_type: Some(crate::proto::flow::CiliumEventType { r#type: 1, sub_type: -3 }),
        ..Flow::default()
    }
}

fn told(text: &str) -> Option<bool> {
    Program::new(text).unwrap_or_else(|e| panic!("{text}: {e}")).is_true(&Subject::new(&flow()))
}

#[test]
fn expressions_on_a_flow() {
    for yes in [
        "true",
        "_flow.verdict == Verdict.DROPPED",
        "_flow.verdict == flow.Verdict.DROPPED && _flow.drop_reason_desc == 76",
        "_flow.drop_reason_desc != DropReason.POLICY_DENIED",
        "_flow.IP.source.startsWith('10.') && _flow.IP.source.matches('^10[.]')",
        "has(_flow.l4) && has(_flow.l4.TCP) && !has(_flow.l4.UDP) && !has(_flow.l7.http)",
        "_flow.l4.UDP.destination_port == 0u && _flow.l4.TCP.destination_port == 80u",
        "_flow.l4.TCP.flags.SYN && !_flow.l4.TCP.flags.ACK",
        "_flow.source.identity == 4294967295u",
        "_flow.source.labels.exists(l, l.contains('app')) && size(_flow.source.labels) == 2",
        "_flow.source.workloads.all(w, w.kind == 'Deployment' && has(w.name))",
        "_flow.source.labels.filter(l, l.endsWith('db')).size() == 1",
        "_flow.source.labels.map(l, size(l))[0] == 11",
        "'k8s:tier=db' in _flow.source.labels && 1 in [1, 2]",
        "_flow.is_reply == null && !has(_flow.is_reply)",
        "_flow.time > timestamp('2025-01-01T00:00:00Z') && _flow.time.getFullYear() == 2025",
        "_flow.event_type.sub_type == -3",
        "_flow.tunnel.protocol == Tunnel.Protocol.GENEVE",
        "_flow.source != _flow.destination && _flow.destination == _flow.destination",
        "_flow.source_names.size() == 0 ? true : false",
        "[Verdict.DROPPED, Verdict.ERROR].exists(v, v == _flow.verdict)",
        "_flow.IP == IP{source: '10.0.0.1'} && _flow.IP != flow.IP{source: '10.0.0.2', encrypted: false}",
        "_flow.l4 == Layer4{TCP: TCP{source_port: 40000u, destination_port: 80u, flags: TCPFlags{SYN: true}}}",
        "_flow.source == Endpoint{workloads: [Workload{kind: 'Deployment', name: 'api'}], identity: 4294967295u, \
         labels: ['k8s:app=api', 'k8s:tier=db']}",
        "_flow.event_type == CiliumEventType{sub_type: -3, type: 1} && _flow != Flow{}",
        "Flow{is_reply: false}.is_reply == false && !has(Flow{is_reply: null}.is_reply)",
        "Flow{time: timestamp('2025-01-01T00:00:00Z')}.time.getFullYear() == 2025",
        "Flow{policy_log: ['', 'a']}.policy_log.size() == 2 && Flow{verdict: _flow.verdict}.verdict == 2",
        "type(_flow) == flow.Flow && type(_flow.IP) == IP && type(_flow.IP) != Endpoint && type(1) == int",
        "_flow.source.labels.exists(l, l.matches('^k8s:t.er')) && !'aaa'.matches('(a+)+b')",
        "type(_flow.time) == google.protobuf.Timestamp && type(duration('1s')) == google.protobuf.Duration",
        "string(1e6) == '1e+06' && string(dyn(0.000001)) == '1e-06' && string(1.5) + string(1) == '1.51'",
        "string(dyn(7)) == '7' && string(dyn('x')) == 'x' && double('1e3') == 1000.0",
        "matches(_flow.IP.source, '^10') && _flow.source.labels.all(l, matches(l, 's:'))",
    ] {
        assert_eq!(told(yes), Some(true), "{yes}");
    }
    assert_eq!(told("_flow.verdict == Verdict.FORWARDED"), Some(false));
    assert_eq!(told("_flow.source_names[0] == 'x'"), None);
    assert_eq!(told("1 / _flow.event_type.sub_type > 0 || 1 / (_flow.event_type.sub_type + 3) > 0"), None);
}

/// What asks nothing of a flow is told before any comes.
#[test]
fn what_needs_no_flow_is_told_at_once() {
    for (text, expected) in [
        ("'aaa'.matches('a+b')", Some(false)),
        ("1 + 1 == 2", Some(true)),
        ("[1, 2].exists(n, n > 1)", Some(true)),
        ("1 / 0 == 1", None),
        ("_flow.uuid == ''", None),
    ] {
        let program = Program::new(text).unwrap();
        let is = if let Direct::Const(is) = &**program.expression() { Some(*is) } else { None };
        assert_eq!(is, expected, "{text}");
    }
}

/// What is told from the flow itself is what the interpreter would say of it.
#[test]
fn what_needs_no_interpreter_is_told_as_by_it() {
    let empty = Flow::default();
    let reply = Flow { is_reply: Some(false), source_names: vec![String::new()], ..flow() };
    for (text, whole) in [
        ("_flow.verdict == Verdict.DROPPED && _flow.l4.TCP.flags.SYN && !_flow.l4.TCP.flags.ACK", true),
        ("Verdict.DROPPED == _flow.verdict || _flow.l7.http.code >= 500u", true),
        ("_flow.l4.TCP.destination_port < 1024u && _flow.l4.TCP.source_port > 1024u", true),
        ("_flow.l4.UDP.destination_port != _flow.l4.TCP.destination_port", true),
        ("_flow.IP.source.startsWith('10.') || _flow.IP.destination.endsWith('.1')", true),
        ("_flow.IP.source.matches('^1\\\\d[.]') && _flow.uuid.contains('')", true),
        ("_flow.IP.source <= '10.0.0.1' && _flow.IP.source > ''", true),
        ("has(_flow.l4.TCP) && !has(_flow.l4.UDP) && has(_flow.is_reply)", true),
        ("has(_flow.source_names) || has(_flow.source.namespace) || has(_flow.time)", true),
        ("has(_flow.l7.http) == false || has(_flow.tunnel.l4.TCP)", false),
        ("_flow.drop_reason_desc in [DropReason.POLICY_DENIED, 76, 0]", true),
        ("_flow.event_type.sub_type == -3 || _flow.event_type.sub_type <= 0", true),
        ("_flow.source.identity in [4294967295u, 0u]", true),
        ("_flow.l4.TCP.flags.SYN == true && true", true),
        ("_flow.source_names[0] == 'x' || _flow.verdict == Verdict.DROPPED", false),
        ("_flow.source_names[0] == 'x' && _flow.verdict == Verdict.DROPPED", false),
        ("_flow.verdict == Verdict.DROPPED && _flow.source_names[0] == ''", false),
        ("!(_flow.source_names[0] == '') || _flow.is_reply == null", false),
        ("_flow.source.labels.exists(l, l.startsWith('k8s:app')) && _flow.verdict == 2", false),
        ("_flow.is_reply == false", false),
    ] {
        let expression = parsed(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let direct = Direct::new(expression.clone());
        assert_eq!(direct.is_whole(), whole, "{text}");
        for flow in [&flow(), &empty, &reply] {
            let subject = Subject::new(flow);
            assert_eq!(direct.is_true(&subject), subject.interpret(&expression), "{text}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_told_before_any_flow() {
    for (text, part) in [
        ("1", "got \"int\", wanted \"bool\" result type"),
        ("_flow", "got \"flow.Flow\", wanted \"bool\" result type"),
        ("flow.verdict == 1", "undeclared reference to 'flow' (in container 'flow')"),
        ("_flow.verdikt == 1", "undefined field 'verdikt'"),
        ("_flow.verdict == 'DROPPED'", "found no matching overload for '_==_' applied to '(int, string)'"),
        ("_flow.verdict == Verdict.NOPE", "undeclared reference to 'Verdict' (in container 'flow')"),
        (
            "_flow.source.labels.all(l, l > 1)",
            "found no matching overload for '_>_' applied to '(string, int)'",
        ),
        ("nope(1)", "undeclared reference to 'nope' (in container 'flow')"),
        ("_flow.verdict.x", "type 'int' does not support field selection"),
        ("_flow.verdict.all(x, true)", "expression of type 'int' cannot be range of a comprehension"),
        ("not even cel (", ""),
        ("", ""),
        ("_flow.IP == IP{sauce: ''}", "undefined field 'sauce'"),
        ("_flow == Nope{}", "undeclared reference to 'Nope' (in container 'flow')"),
        (
            "_flow.IP == IP{source: 1}",
            "expected type of field 'source' is 'string' but provided type is 'int'",
        ),
        ("_flow.IP == Endpoint{}", "found no matching overload for '_==_'"),
        ("_flow == Flow{extensions: 1}", "the field 'extensions' can't be set here"),
        ("_flow.uuid.matches('(a{1000}){1000}')", "of matches() is no regular expression, or too big a one"),
        ("_flow.uuid.matches(_flow.node_name)", "matches() wants its pattern written out"),
    ] {
        let e = Program::new(text).unwrap_err().0;
        assert!(e.starts_with("error compiling CEL expression: ") && e.contains(part), "{text}: {e}");
        assert!(!e.contains('\n'), "{e}");
    }
}

/// Expressions come from clients of an agent, too: none may keep it busy or end it.
#[test]
fn an_expression_is_bounded() {
    let nested = "_flow.source.labels.all(a, _flow.source.labels.all(b, _flow.source.labels.all(c, \
                  _flow.source.labels.all(d, a == b && c == d))))";
    assert!(Program::new(nested).unwrap_err().0.contains("too many rounds"));
    assert!(Program::new(&"!".repeat(9000)).unwrap_err().0.contains("longer than"));
    for grows in [
        format!("['a']{} == []", ".map(x, x + x)".repeat(40)),
        format!("[[1]]{} == []", ".map(x, x + x)".repeat(40)),
        format!("[b'a']{} == []", ".map(x, x + x)".repeat(40)),
        format!("[dyn(_flow.uuid)]{} == []", ".map(x, x + x)".repeat(40)),
        format!("{{'a': 'b'}}{}.size() == 0", ".map(x, x + x)".repeat(40)),
        format!("['a']{} == []", ".map(x, true, true ? x + x : x)".repeat(40)),
        format!("[[1]]{0} == [[1]]{0}", ".map(x, [x, x])".repeat(26)),
        format!("[1]{} == []", ".map(x, {'a': x, 'b': x})".repeat(24)),
        "_flow.source.labels.map(a, _flow.source.labels.map(b, _flow.source.labels.map(c, a + b + c))) == []"
            .into(),
    ] {
        let e = Program::new(&grows).unwrap_err().0;
        assert!(e.contains("too much of each flow") || e.contains("too many rounds"), "{grows}: {e}");
    }
    // What people write is small.
    for fine in [
        format!("[1]{} == []", ".map(x, x + x)".repeat(5)),
        "_flow.source.labels.map(l, l + '!').filter(l, l.startsWith('k8s')).map(l, l + l).exists(l, l == '')"
            .into(),
        "_flow.source.labels.exists(a, _flow.destination.labels.exists(b, a + b == 'xy'))".into(),
        "(_flow.source.namespace + '/' + _flow.source.pod_name) in ['a/b', 'c/d']".into(),
    ] {
        Program::new(&fine).unwrap_or_else(|e| panic!("{fine}: {e}"));
    }
    for deep in [
        format!("{}true{}", "(".repeat(4000), ")".repeat(4000)),
        format!("{}true", "!".repeat(8000)),
        "true || ".repeat(1000) + "true",
        "true ? ".repeat(900) + "true" + &" : true".repeat(900),
        format!("{}1{} == [1]", "[".repeat(3000), "]".repeat(3000)),
        format!("size({}) > 0", "'a' + ".repeat(1300) + "'a'"),
        format!("_flow{}", ".source".repeat(1000)),
    ] {
        // Refused or run, but never the end of the process.
        if let Ok(program) = Program::new(&deep) {
            program.is_true(&Subject::new(&flow()));
        }
    }
}
