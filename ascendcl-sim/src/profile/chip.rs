//! What a chip is made of, and what of the device functions it answers: figures that programs ask for.

/// Figures of one kind of chip. A 0 or "" is something the chip does not tell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chip {
    pub(crate) short_name: &'static str,
    pub(crate) core_version: &'static str,
    /// Chips with the same number run the same kernels.
    pub(crate) arch: u32,
    pub(crate) ai_cores: u32,
    pub(crate) cube_cores: u32,
    pub(crate) vector_cores: u32,
    pub(crate) ai_cpus: u32,
    pub(crate) l2_bytes: u64,
    /// As text: programs get it as it stands in the chip's description.
    pub(crate) memory_size: &'static str,
    pub(crate) memory_type: &'static str,
    pub(crate) cube_mhz: u32,
    pub(crate) unified_buffer: u32,
    pub(crate) l1_bytes: u32,
    pub(crate) l0a_bytes: u32,
    pub(crate) l0b_bytes: u32,
    pub(crate) l0c_bytes: u32,
    pub(crate) bias_table: u32,
    /// Microseconds of one unit of a kernel's time limit; 0 where limits are not told.
    pub(crate) limit_unit: f64,
    /// Units of the largest limit, which is also the one that holds when nobody set any.
    pub(crate) limit_units: u32,
    /// Infinities and NaN as results, rather than only saturation.
    pub(crate) inf_nan: bool,
    pub(crate) bfloat16: bool,
    pub(crate) overflow: Overflow,
    /// Groups that the AI cores are divided into; 0 where nobody has divided them.
    pub(crate) groups: u32,
    /// Streams wait for values in memory, and events can be made of them.
    pub(crate) value_wait: bool,
    /// Atomic additions, minima and maxima by the copy engines, towards other devices.
    pub(crate) peer_atomics: bool,
    /// Devices connected by HCCS rather than by PCIe.
    pub(crate) hccs: bool,
}

/// How a chip tells that a computation overflowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// It does not.
    Nowhere,
    /// One status for each context.
    Context,
    /// One for each stream.
    Stream,
}

/// Socs by the beginning of their names, with the number of their architecture; longest first where one begins another.
const ARCHITECTURES: &[(&str, u32)] = &[
    ("Ascend310P", 2002),
    ("Ascend310B", 3002),
    ("Ascend310", 1000),
    ("Ascend910_93", 2201),
    ("Ascend910B1", 2201),
    ("Ascend910B2", 2201),
    ("Ascend910B3", 2201),
    ("Ascend910B4", 2201),
    ("Ascend910B", 1001),
    ("Ascend910A", 1001),
    ("Ascend910Pro", 1001),
    ("Ascend910Premium", 1001),
    ("AscendSim", 2201),
];

/// The architecture of a soc by its name.
pub(crate) fn architecture(soc: &str) -> Option<u32> {
    ARCHITECTURES.iter().find(|(name, _)| soc.starts_with(name)).map(|&(_, arch)| arch)
}

impl Chip {
    pub(super) const ASCEND310: Self = Self {
        short_name: "Ascend310",
        core_version: "AIC-M-100",
        arch: 1000,
        ai_cores: 2,
        cube_cores: 2,
        vector_cores: 0,
        ai_cpus: 4,
        l2_bytes: 8 << 20,
        memory_size: "8589934592",
        memory_type: "0",
        cube_mhz: 680,
        unified_buffer: 256 << 10,
        l1_bytes: 1 << 20,
        l0a_bytes: 64 << 10,
        l0b_bytes: 64 << 10,
        l0c_bytes: 256 << 10,
        bias_table: 0,
        limit_unit: 0.0,
        limit_units: 0,
        inf_nan: false,
        bfloat16: false,
        overflow: Overflow::Nowhere,
        groups: 0,
        value_wait: false,
        peer_atomics: false,
        hccs: false,
    };

    pub(super) const ASCEND310P: Self = Self {
        short_name: "Ascend310P",
        core_version: "AIC-M-200",
        arch: 2002,
        ai_cores: 8,
        cube_cores: 8,
        vector_cores: 7,
        ai_cpus: 7,
        l2_bytes: 16 << 20,
        memory_size: "24000000000",
        cube_mhz: 1060,
        limit_unit: 2_147_483.648,
        limit_units: 255,
        overflow: Overflow::Context,
        ..Self::ASCEND310
    };

    pub(super) const ASCEND910B: Self = Self {
        short_name: "Ascend910B",
        core_version: "AIC-C-220",
        arch: 2201,
        ai_cores: 24,
        cube_cores: 24,
        vector_cores: 48,
        ai_cpus: 6,
        l2_bytes: 192 << 20,
        memory_size: "68719476736",
        memory_type: "",
        cube_mhz: 1850,
        unified_buffer: 192 << 10,
        l1_bytes: 512 << 10,
        l0c_bytes: 128 << 10,
        bias_table: 1024,
        limit_unit: 4_294_967.296,
        limit_units: 254,
        inf_nan: true,
        bfloat16: true,
        overflow: Overflow::Stream,
        value_wait: true,
        peer_atomics: true,
        hccs: true,
        ..Self::ASCEND310
    };

    pub(super) const FULL: Self = Self { short_name: "AscendSim", groups: 2, ..Self::ASCEND910B };
}

impl Eq for Chip {}
