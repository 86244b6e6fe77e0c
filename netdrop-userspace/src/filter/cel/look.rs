//! What an expression looks at.

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr};

use super::direct::{Comparison, Direct, Operand, Path, Scalar};
use super::value::PRESENT;
use crate::convert::Roots;
use crate::filter::part::Part;

/// Is told of each field: the names that lead to it, and whether only its presence counts. No names: the flow as a whole.
pub(super) type Visit<'v> = dyn FnMut(&[&str], bool) + 'v;

impl Direct {
    /// The one part of a flow that it looks at.
    pub(in crate::filter) fn part(&self) -> Part {
        let mut part = None;
        self.look(&mut |names, has| {
            let this = Part::of_field(names, has);
            part = Some(part.map_or(this, |part: Part| part.and(this)));
        });
        part.unwrap_or(Part::Likeness)
    }

    /// Which fields of a flow have to be there.
    pub(in crate::filter) fn roots(&self) -> Roots {
        let mut roots = Roots::default();
        self.look(&mut |names, _| match names {
            [root, ..] => roots.add(root),
            [] => roots = Roots::ALL,
        });
        roots
    }

    /// The fields of a flow that it looks at; `None`: the flow as a whole.
    pub(in crate::filter) fn fields(&self) -> Option<Vec<String>> {
        let mut fields = Some(Vec::new());
        self.look(&mut |names, _| match (names, &mut fields) {
            ([root, ..], Some(fields)) => fields.push((*root).to_owned()),
            _ => fields = None,
        });
        fields
    }

    /// Texts, if it says no more than that a field is one of them.
    pub(in crate::filter) fn is_one_of(&self) -> Option<Vec<&str>> {
        match self {
            Self::Compare(Comparison::Equal, Operand::Path(_), Operand::Value(Scalar::Text(text)))
            | Self::Compare(Comparison::Equal, Operand::Value(Scalar::Text(text)), Operand::Path(_)) => {
                Some(vec![text])
            }
            Self::OneOf(Operand::Path(_), all) => all
                .iter()
                .map(|one| if let Scalar::Text(text) = one { Some(text.as_str()) } else { None })
                .collect(),
            _ => None,
        }
    }

    /// Ports of which a flow has one, for which it is true.
    pub(in crate::filter) fn ports(&self) -> Option<Vec<u16>> {
        // A port of zero is also that of a header that is not there.
        let port = |value: &Scalar| match value {
            Scalar::Uint(number @ 1..) => Some(u16::try_from(*number).ok()),
            _ => None,
        };
        let ports = |path: &Path, values: &[Scalar]| {
            let is_port = matches!(path.names[..], ["l4", _, "source_port" | "destination_port"]);
            let all: Option<Vec<Option<u16>>> = values.iter().map(port).collect();
            all.filter(|_| is_port).map(|all| all.into_iter().flatten().collect())
        };
        match self {
            Self::Compare(Comparison::Equal, Operand::Path(path), Operand::Value(value))
            | Self::Compare(Comparison::Equal, Operand::Value(value), Operand::Path(path)) => {
                ports(path, std::slice::from_ref(value))
            }
            Self::OneOf(Operand::Path(path), values) => ports(path, values),
            _ => None,
        }
    }

    pub(super) fn look(&self, visit: &mut Visit<'_>) {
        let mut operand = |operand: &Operand| {
            if let Operand::Path(path) = operand {
                visit(&path.names, false);
            }
        };
        match self {
            Self::Const(_) => {}
            Self::Both(sides) | Self::Either(sides) => sides.iter().for_each(|side| side.look(visit)),
            Self::Not(of) => of.look(visit),
            Self::Is(path) | Self::Text(path, _) => visit(&path.names, false),
            Self::Has(path) => visit(&path.names, true),
            Self::Compare(_, a, b) => [a, b].into_iter().for_each(operand),
            Self::OneOf(one, _) => operand(one),
            Self::Rest(expression) => look(expression, visit),
        }
    }
}

/// All fields in what is left to the interpreter.
fn look(expression: &IdedExpr, visit: &mut Visit<'_>) {
    match &expression.expr {
        Expr::Unspecified | Expr::Literal(_) => {}
        // Also where it is another variable of that name.
        Expr::Ident(name) => {
            if name == "_flow" {
                visit(&[], false);
            }
        }
        Expr::Select(select) => match names(expression) {
            Some((names, has)) => visit(&names, has),
            None => look(&select.operand, visit),
        },
        Expr::Call(call) => {
            call.target.iter().for_each(|target| look(target, visit));
            call.args.iter().for_each(|one| look(one, visit));
        }
        Expr::List(list) => list.elements.iter().for_each(|one| look(one, visit)),
        Expr::Map(map) => map.entries.iter().for_each(|entry| entries(&entry.expr, visit)),
        Expr::Struct(made) => made.entries.iter().for_each(|entry| entries(&entry.expr, visit)),
        Expr::Comprehension(c) => {
            for one in [&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result] {
                look(one, visit);
            }
        }
    }
}

fn entries(entry: &EntryExpr, visit: &mut Visit<'_>) {
    match entry {
        EntryExpr::MapEntry(entry) => {
            look(&entry.key, visit);
            look(&entry.value, visit);
        }
        EntryExpr::StructField(field) => look(&field.value, visit),
    }
}

/// The names of `_flow.a.b`, and whether the last is only asked for its presence.
fn names(expression: &IdedExpr) -> Option<(Vec<&str>, bool)> {
    let Expr::Select(select) = &expression.expr else { return None };
    let mut all = match &select.operand.expr {
        Expr::Ident(name) if name == "_flow" => Vec::new(),
        _ => names(&select.operand)?.0,
    };
    let bare = select.field.strip_prefix(PRESENT);
    all.push(bare.unwrap_or(&select.field));
    Some((all, bare.is_some() || select.test))
}
