//! What the services look like, for clients that have no definitions of their own. A question that has no answer is answered so
//! (`error_response`), and the next one on its stream, too.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;

use anyhow::Context as _;
use futures::{Stream, StreamExt as _};
use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};
use tonic::service::RoutesBuilder;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_reflection::pb::{v1, v1alpha};

use crate::proto::DESCRIPTORS;

/// A set of files, each in the bytes that it was written in.
#[derive(Clone, PartialEq, prost::Message)]
struct Files {
    #[prost(bytes = "vec", repeated, tag = "1")]
    file: Vec<Vec<u8>>,
}

/// All definitions, by what is asked for.
#[derive(Debug, Default)]
struct Definitions {
    /// By the file's name.
    files: HashMap<String, Arc<[u8]>>,
    /// By the full name of whatever is defined.
    symbols: HashMap<String, Arc<[u8]>>,
    messages: BTreeSet<String>,
    services: BTreeSet<String>,
}

/// A question, in either version.
enum Question {
    File(String),
    Symbol(String),
    Extension(String, i32),
    ExtensionNumbers(String),
    Services,
}

/// What is said to it.
#[derive(Debug, PartialEq)]
enum Answer {
    File(Vec<u8>),
    ExtensionNumbers(String),
    Services(Vec<String>),
    /// There is no such thing.
    None(String),
}

/// One of its services; it is the same behind both versions.
#[derive(Clone, Debug)]
struct Reflection(Arc<Definitions>);

/// Adds it, in both versions that are in use.
pub(crate) fn add(routes: &mut RoutesBuilder) -> anyhow::Result<()> {
    let sets = [
        DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        v1::FILE_DESCRIPTOR_SET,
        v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let reflection = Reflection(Arc::new(Definitions::of(&sets)?));
    routes.add_service(v1::server_reflection_server::ServerReflectionServer::new(reflection.clone()));
    routes.add_service(v1alpha::server_reflection_server::ServerReflectionServer::new(reflection));
    Ok(())
}

impl Definitions {
    fn of(sets: &[&[u8]]) -> anyhow::Result<Self> {
        let mut all = Self::default();
        for set in sets {
            for bytes in Files::decode(*set).context("cannot describe the services")?.file {
                let file = FileDescriptorProto::decode(&*bytes).context("cannot describe the services")?;
                all.add(&file, &bytes.into());
            }
        }
        Ok(all)
    }

    fn add(&mut self, file: &FileDescriptorProto, bytes: &Arc<[u8]>) {
        // Several sets have Google's own.
        if self.files.insert(file.name().to_owned(), Arc::clone(bytes)).is_some() {
            return;
        }
        let package = file.package();
        file.message_type.iter().for_each(|message| self.message(package, message, bytes));
        file.enum_type.iter().for_each(|one| self.enumeration(package, one, bytes));
        for service in &file.service {
            let name = self.symbol(package, service.name(), bytes);
            service.method.iter().for_each(|method| drop(self.symbol(&name, method.name(), bytes)));
            self.services.insert(name);
        }
    }

    fn message(&mut self, scope: &str, message: &DescriptorProto, bytes: &Arc<[u8]>) {
        let name = self.symbol(scope, message.name(), bytes);
        message.nested_type.iter().for_each(|nested| self.message(&name, nested, bytes));
        message.enum_type.iter().for_each(|one| self.enumeration(&name, one, bytes));
        for field in &message.field {
            self.symbol(&name, field.name(), bytes);
        }
        for oneof in &message.oneof_decl {
            self.symbol(&name, oneof.name(), bytes);
        }
        self.messages.insert(name);
    }

    /// Names of an enum's values stand beside its own, as in C.
    fn enumeration(&mut self, scope: &str, one: &EnumDescriptorProto, bytes: &Arc<[u8]>) {
        self.symbol(scope, one.name(), bytes);
        one.value.iter().for_each(|value| drop(self.symbol(scope, value.name(), bytes)));
    }

    fn symbol(&mut self, scope: &str, name: &str, bytes: &Arc<[u8]>) -> String {
        let full = if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") };
        self.symbols.insert(full.clone(), Arc::clone(bytes));
        full
    }

    fn answer(&self, question: Question) -> Answer {
        let file = |found: Option<&Arc<[u8]>>, what: String| {
            found.map_or_else(|| Answer::None(what), |bytes| Answer::File(bytes.to_vec()))
        };
        match question {
            Question::File(name) => file(self.files.get(&name), format!("no file is called {name:?}")),
            Question::Symbol(name) => {
                file(self.symbols.get(&name), format!("nothing here is called {name:?}"))
            }
            Question::Extension(of, number) => {
                Answer::None(format!("{of:?} has no extension {number}: none of these messages has any"))
            }
            Question::ExtensionNumbers(of) if self.messages.contains(&of) => Answer::ExtensionNumbers(of),
            Question::ExtensionNumbers(of) => Answer::None(format!("no message is called {of:?}")),
            Question::Services => Answer::Services(self.services.iter().cloned().collect()),
        }
    }
}

/// The same for each version: their messages differ in nothing but their package.
macro_rules! serve {
    ($version:ident) => {
        #[tonic::async_trait]
        impl $version::server_reflection_server::ServerReflection for Reflection {
            type ServerReflectionInfoStream =
                Pin<Box<dyn Stream<Item = Result<$version::ServerReflectionResponse, Status>> + Send>>;

            async fn server_reflection_info(
                &self,
                asked: Request<Streaming<$version::ServerReflectionRequest>>,
            ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
                use $version::server_reflection_request::MessageRequest as Asked;
                use $version::server_reflection_response::MessageResponse as Said;

                let Self(definitions) = self.clone();
                let answer = move |asked: Result<$version::ServerReflectionRequest, Status>| {
                    let asked = asked?;
                    let question = match asked.message_request.clone() {
                        Some(Asked::FileByFilename(name)) => Question::File(name),
                        Some(Asked::FileContainingSymbol(name)) => Question::Symbol(name),
                        Some(Asked::FileContainingExtension(e)) => {
                            Question::Extension(e.containing_type, e.extension_number)
                        }
                        Some(Asked::AllExtensionNumbersOfType(of)) => Question::ExtensionNumbers(of),
                        Some(Asked::ListServices(_)) => Question::Services,
                        None => {
                            return Err(Status::invalid_argument("invalid MessageRequest: it asks nothing"));
                        }
                    };
                    let said = match definitions.answer(question) {
                        Answer::File(bytes) => {
                            Said::FileDescriptorResponse($version::FileDescriptorResponse {
                                file_descriptor_proto: vec![bytes],
                            })
                        }
                        Answer::ExtensionNumbers(of) => {
                            Said::AllExtensionNumbersResponse($version::ExtensionNumberResponse {
                                base_type_name: of,
                                extension_number: Vec::new(),
                            })
                        }
                        Answer::Services(names) => {
                            Said::ListServicesResponse($version::ListServiceResponse {
                                service: names
                                    .into_iter()
                                    .map(|name| $version::ServiceResponse { name })
                                    .collect(),
                            })
                        }
                        Answer::None(why) => Said::ErrorResponse($version::ErrorResponse {
                            error_code: Code::NotFound.into(),
                            error_message: why,
                        }),
                    };
                    Ok($version::ServerReflectionResponse {
                        valid_host: asked.host.clone(),
                        original_request: Some(asked),
                        message_response: Some(said),
                    })
                };
                Ok(Response::new(Box::pin(asked.into_inner().map(answer))))
            }
        }
    };
}

serve!(v1);
serve!(v1alpha);

#[cfg(test)]
mod tests {
    use super::*;

    fn definitions() -> Definitions {
        Definitions::of(&[DESCRIPTORS, v1::FILE_DESCRIPTOR_SET]).unwrap()
    }

    #[test]
    fn what_is_defined_is_found_by_all_its_names() {
        let all = definitions();
        let of = |name: &str| match all.answer(Question::Symbol(name.to_owned())) {
            Answer::File(bytes) => FileDescriptorProto::decode(&*bytes).unwrap().name().to_owned(),
            other => panic!("{name}: {other:?}"),
        };
        for name in [
            "flow.Flow",
            "flow.Flow.verdict",
            "flow.Verdict",
            "flow.DROPPED",
            "flow.EventTypeFilter.match_sub_type",
            "flow.FlowFilter.Experimental",
        ] {
            assert_eq!(of(name), "flow/flow.proto", "{name}");
        }
        for name in
            ["observer.Observer", "observer.Observer.GetFlows", "observer.GetFlowsResponse.response_types"]
        {
            assert_eq!(of(name), "observer/observer.proto", "{name}");
        }
        // With all that it imports.
        let file = FileDescriptorProto::decode(&*all.files["observer/observer.proto"]).unwrap();
        assert!(
            !file.dependency.is_empty() && file.dependency.iter().all(|name| all.files.contains_key(name))
        );
        let Answer::Services(services) = all.answer(Question::Services) else { panic!("services") };
        assert!(services.contains(&"observer.Observer".to_owned()), "{services:?}");
    }

    #[test]
    fn what_is_not_there_is_said() {
        let all = definitions();
        for question in [
            Question::Symbol("no.Such".into()),
            Question::Symbol(String::new()),
            Question::File("no/such.proto".into()),
            Question::Extension("flow.Flow".into(), 7),
            Question::ExtensionNumbers("no.Such".into()),
        ] {
            assert!(matches!(all.answer(question), Answer::None(_)));
        }
        let numbers = all.answer(Question::ExtensionNumbers("flow.Flow".into()));
        assert_eq!(numbers, Answer::ExtensionNumbers("flow.Flow".into()));
    }
}
