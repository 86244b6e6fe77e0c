//! filter.
#[derive(Clone, Debug, Default)]
pub struct Prefilter {
    pub reasons: Option<Vec<u32>>,
    pub netns: Option<Vec<u32>>,
    pub prefixes: Option<Vec<ipnet::IpNet>>,
    pub ports: Option<Vec<u16>>,
    pub protocols: Option<Vec<u8>>,
    pub interfaces: Option<Vec<u32>>,
    pub nothing: bool,
}
