//! OM files, written as the format is documented: by this alone, not by what reads them.

/// A message of Protocol Buffers in the making.
#[derive(Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub fn int(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    pub fn bytes(mut self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn message(self, field: u64, message: Message) -> Self {
        self.bytes(field, message.0)
    }

    /// An attribute of the graph, which is an entry of a map.
    pub fn attribute(self, field: u64, name: &str, value: Message) -> Self {
        self.message(field, Message::default().bytes(1, name).message(2, value))
    }
}

pub fn message() -> Message {
    Message::default()
}

/// Text, as the value of an attribute.
pub fn text(value: &str) -> Message {
    message().bytes(2, value)
}

pub fn int(value: i64) -> Message {
    message().int(3, value)
}

/// A tensor in the partition that describes inputs and outputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensor {
    pub name: String,
    pub size: u64,
    pub format: i32,
    pub data_type: i32,
    pub dims: Vec<i64>,
    pub dims_v2: Vec<i64>,
    pub ranges: Vec<(i64, i64)>,
}

fn u32s(numbers: &[usize]) -> Vec<u8> {
    numbers.iter().flat_map(|&number| (number as u32).to_le_bytes()).collect()
}

pub fn tensors(tensors: &[Tensor]) -> Vec<u8> {
    let mut bytes = u32s(&[tensors.len()]);
    for tensor in tensors {
        bytes.extend(tensor.size.to_le_bytes());
        bytes.extend(tensor.format.to_le_bytes());
        bytes.extend(tensor.data_type.to_le_bytes());
        let Tensor { name, dims, dims_v2, ranges, .. } = tensor;
        bytes.extend(u32s(&[name.len(), dims.len() * 8, dims_v2.len() * 8, ranges.len() * 16]));
        bytes.extend(name.as_bytes());
        let ranges = ranges.iter().flat_map(|&(low, high)| [low, high]);
        bytes.extend(dims.iter().chain(dims_v2).copied().chain(ranges).flat_map(i64::to_le_bytes));
    }
    bytes
}

pub fn batches(sizes: &[u64]) -> Vec<u8> {
    let mut bytes = u32s(&[sizes.len()]);
    bytes.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
    bytes
}

pub fn lists(lists: &[Vec<u64>]) -> Vec<u8> {
    let mut bytes = u32s(&[lists.len()]);
    lists.iter().for_each(|list| bytes.extend(u32s(&[list.len()])));
    bytes.extend(lists.iter().flatten().flat_map(|number| number.to_le_bytes()));
    bytes
}

pub fn strings(strings: &[&str]) -> Vec<u8> {
    let mut bytes = u32s(&[strings.len()]);
    strings.iter().for_each(|string| bytes.extend(u32s(&[string.len()])));
    strings.iter().for_each(|string| bytes.extend(string.as_bytes()));
    bytes
}

/// The partition, of entries with their types.
pub fn inout(entries: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, value) in entries {
        bytes.extend(u32s(&[*kind as usize, value.len()]));
        bytes.extend(value);
    }
    bytes
}

/// The container.
#[derive(Clone)]
pub struct Om {
    pub version: u32,
    pub model_type: u8,
    pub name: &'static str,
    /// The newer form of tables, with 64-bit lengths.
    pub wide: bool,
    pub unknown_shape: bool,
    pub encrypted: bool,
    /// Tables of partitions.
    pub tables: Vec<Vec<(u32, Vec<u8>)>>,
}

impl Default for Om {
    fn default() -> Self {
        Om {
            version: 0x2000_0000,
            model_type: 1,
            name: "",
            wide: true,
            unknown_shape: false,
            encrypted: false,
            tables: Vec::new(),
        }
    }
}

impl Om {
    /// The file, and behind it what is said to be in it without being there: `missing` bytes of the last partition.
    pub fn head(&self, missing: u64) -> Vec<u8> {
        let mut content = Vec::new();
        for (number, table) in self.tables.iter().enumerate() {
            content.extend((table.len() as u32).to_le_bytes());
            if self.wide {
                content.extend([0; 4]);
            }
            let mut offset = 0u64;
            for (index, (kind, data)) in table.iter().enumerate() {
                let is_last = number + 1 == self.tables.len() && index + 1 == table.len();
                let size = data.len() as u64 + if is_last { missing } else { 0 };
                if self.wide {
                    content.extend(u64::from(*kind).to_le_bytes());
                    content.extend(offset.to_le_bytes());
                    content.extend(size.to_le_bytes());
                } else {
                    content.extend(kind.to_le_bytes());
                    content.extend((offset as u32).to_le_bytes());
                    content.extend((size as u32).to_le_bytes());
                }
                offset += size;
            }
            table.iter().for_each(|(_, data)| content.extend(data));
        }
        let mut file = vec![0; 256];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        let length = content.len() as u64 + missing;
        put(0, b"IMOD");
        put(4, &256u32.to_le_bytes());
        put(8, &self.version.to_le_bytes());
        put(76, &(length as u32).to_le_bytes());
        put(80, &[self.encrypted.into(), 0, self.model_type]);
        put(84, self.name.as_bytes());
        put(156, &(self.tables.len() as u32).to_le_bytes());
        put(184, &(if self.wide { length } else { 0 }).to_le_bytes());
        put(193, &[self.unknown_shape.into()]);
        file.extend(content);
        file
    }

    pub fn file(&self) -> Vec<u8> {
        self.head(0)
    }
}
