//! What the driver's error numbers (Xid) say about a device: is the program or the device to
//! blame?
//!
//! Sources: NVIDIA's "Xid Errors" document, its catalog's recommended action per number, and
//! the numbers NVIDIA's Kubernetes device plugin leaves a device healthy for. A number that is
//! not in the table blames the device: to keep work off a good device for an hour costs less
//! than to feed it to a broken one.

/// Who is to blame for an Xid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XidBlame {
    /// The program on the device; the device goes on.
    Program,
    /// Nobody; the device recorded something and goes on.
    Nobody,
    /// The device: no new work until it was reset or looked at.
    Device,
}

/// Who is to blame for an Xid, and what it is, as a clause for people.
pub fn xid_blame(xid: u64) -> (XidBlame, &'static str) {
    TABLE
        .iter()
        .find(|(number, ..)| *number == xid)
        .map_or((XidBlame::Device, "an error this version does not know"), |(_, blame, what)| {
            (*blame, *what)
        })
}

const TABLE: &[(u64, XidBlame, &str)] = &[
    (13, XidBlame::Program, "a program made an illegal access or used a wrong instruction"),
    (31, XidBlame::Program, "a program touched an address that is not mapped"),
    (43, XidBlame::Program, "a program was stopped after an error of its own"),
    (45, XidBlame::Program, "a program's work was cleaned up after it ended"),
    (48, XidBlame::Device, "memory lost two bits in one word (double-bit ECC error)"),
    (61, XidBlame::Device, "an internal microcontroller stopped at a breakpoint"),
    (62, XidBlame::Device, "an internal microcontroller halted"),
    (63, XidBlame::Nobody, "a faulty memory row or page was noted for replacement"),
    (64, XidBlame::Device, "a faulty memory row or page could not be noted for replacement"),
    (68, XidBlame::Program, "the video decoder met an exception"),
    (69, XidBlame::Program, "a program used a wrong class of engine command"),
    (74, XidBlame::Device, "an NVLink connection failed"),
    (79, XidBlame::Device, "the device has fallen off the bus"),
    (92, XidBlame::Nobody, "single-bit memory errors are frequent; all were corrected"),
    (94, XidBlame::Program, "a memory error was contained to one program, which was ended"),
    (95, XidBlame::Device, "a memory error could not be contained"),
    (109, XidBlame::Program, "a program's context did not switch in time"),
    (119, XidBlame::Device, "the device's system processor did not answer"),
    (120, XidBlame::Device, "the device's system processor met an error"),
    (140, XidBlame::Device, "memory lost bits beyond repair"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_once_and_in_order() {
        assert!(TABLE.is_sorted_by(|(a, ..), (b, ..)| a < b));
    }

    #[test]
    fn faults_of_programs_leave_the_device_in_the_pool() {
        for xid in [13, 31, 43, 45, 68, 94, 109] {
            assert_eq!(xid_blame(xid).0, XidBlame::Program, "{xid}");
        }
        for xid in [48, 64, 74, 79, 95, 119, 999] {
            assert_eq!(xid_blame(xid).0, XidBlame::Device, "{xid}");
        }
    }
}
