//! What the driver's error numbers (Xid) say about a device: is the program or the device to
//! blame?
//!
//! Sources: NVIDIA's Xid catalog (docs.nvidia.com/deploy/xid-errors, the spreadsheet of October
//! 2025), by the immediate action it names for each number:
//!
//! | its word | here |
//! |--|--|
//! | `RESTART_APP`, or `IGNORE` where a program causes it | the program's |
//! | `IGNORE`, of a message that says nothing of the device | a record |
//! | `IGNORE` of an error that was corrected; a workflow that needs more than the number | nobody's |
//! | `RESET_GPU`, `RESTART_BM`, `RESTART_VM`, `CHECK_MECHANICALS` | the device's |
//!
//! A number that is not in the table, or that the catalog calls unused, is nobody's: new work is
//! kept off for a while, and what the driver then says of the device itself (`health.rs`) decides.
//! To take a device away until a person comes, for a message nobody can read, would cost more.

/// Who is to blame for an Xid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XidBlame {
    /// The program on the device; the device goes on.
    Program,
    /// Nobody, and nothing is to be done: a message, or one about another error.
    Record,
    /// Nobody; the device recorded something and goes on. More of it is a bad sign.
    Nobody,
    /// The device: no new work until it was reset or looked at.
    Device,
}

/// Who is to blame for an Xid, and what it is, as a clause for people.
pub fn xid_blame(xid: u64) -> (XidBlame, &'static str) {
    let row = TABLE.iter().find(|(first, last, ..)| (*first..=*last).contains(&xid));
    row.map_or((XidBlame::Nobody, UNKNOWN), |(.., blame, what)| (*blame, *what))
}

/// What NVML tells where the driver has no number (its reference, `nvmlEventData_t`).
pub(crate) const XID_UNKNOWN: u64 = 999;

const UNKNOWN: &str = "an error this version does not know";

use XidBlame::{Device, Nobody, Program, Record};

/// From this number to that one.
const TABLE: &[(u64, u64, XidBlame, &str)] = &[
    (8, 8, Program, "a program's work did not come to its end"),
    (11, 11, Program, "a program's commands to the device were wrong or damaged"),
    (13, 13, Program, "a program made an illegal access or used a wrong instruction"),
    (14, 14, Record, "a message without a meaning"),
    (25, 25, Program, "a program's commands to the device were wrong or not allowed"),
    (31, 31, Program, "a program touched an address that is not mapped"),
    (32, 32, Program, "a program's commands to the device were wrong or damaged"),
    (37, 38, Program, "the device's firmware refused or gave up a request"),
    (39, 41, Program, "a copy engine met an exception"),
    (43, 43, Program, "a program was stopped after an error of its own"),
    (44, 44, Program, "a program met a fault while it was switched"),
    (45, 45, Program, "a program's work was cleaned up after it ended"),
    (46, 46, Device, "the device stopped working on what it was given"),
    (48, 48, Device, "memory lost two bits in one word (double-bit ECC error)"),
    (54, 54, Device, "the device's power connector is not connected"),
    (60, 60, Program, "the video processor met an exception"),
    (61, 61, Device, "an internal microcontroller stopped at a breakpoint"),
    (62, 62, Device, "an internal microcontroller halted"),
    (63, 63, Nobody, "a faulty memory row or page was noted for replacement"),
    (64, 64, Device, "a faulty memory row or page could not be noted for replacement"),
    (66, 67, Program, "the driver made an access that is not allowed"),
    (68, 68, Program, "the video decoder met an exception"),
    (69, 69, Program, "a program used a wrong class of engine command"),
    (70, 72, Program, "a copy engine met an exception"),
    (74, 74, Device, "an NVLink connection failed"),
    (75, 77, Program, "a copy engine met an exception"),
    (78, 78, Nobody, "a virtual device could not be started"),
    (79, 79, Device, "the device has fallen off the bus"),
    (80, 80, Program, "a program's commands arrived damaged"),
    (82, 82, Program, "the image decoder met an exception"),
    (83, 84, Program, "the video decoder met an exception"),
    (85, 85, Program, "a copy engine met an exception"),
    (86, 86, Program, "the optical flow engine met an exception"),
    (88, 89, Program, "the video decoder met an exception"),
    (92, 92, Nobody, "single-bit memory errors are frequent; all were corrected"),
    (93, 93, Record, "the device's own store is written more often than it should be"),
    (94, 94, Program, "a memory error was contained to one program, which was ended"),
    (95, 95, Device, "a memory error could not be contained"),
    (96, 98, Program, "the video decoder met an exception"),
    (99, 105, Program, "the image decoder met an exception"),
    (106, 107, Record, "a test message"),
    (108, 108, Program, "a program's access over NVLink led nowhere"),
    // The catalog asks for a reset, NVIDIA's Kubernetes plugin blames the program. In between.
    (109, 109, Nobody, "a program's context did not switch in time"),
    (110, 110, Device, "a security fault"),
    (119, 119, Device, "the device's system processor did not answer"),
    (120, 120, Device, "the device's system processor met an error"),
    (121, 121, Nobody, "the link between the chips met an error"),
    (126, 135, Program, "a copy engine met an exception"),
    (136, 136, Device, "an NVLink connection could not be made"),
    (137, 137, Program, "a program's access over NVLink was not allowed"),
    (139, 139, Program, "the optical flow engine met an exception"),
    (140, 140, Device, "memory lost bits beyond repair"),
    (141, 141, Program, "a program's fast path met an error"),
    (143, 143, Device, "the device could not be started"),
    // By what else they say these are nothing, or call for a reset: the number alone does not tell.
    (144, 149, Nobody, "an NVLink connection met an error"),
    (150, 150, Device, "the processor of the NVLink connections did not answer"),
    (151, 151, Device, "a key could not be exchanged"),
    (152, 153, Program, "the deep learning engine met an error"),
    (154, 154, Record, "what the device needs after an error has changed"),
    (155, 155, Device, "an NVLink connection was given up"),
    (156, 156, Device, "a faulty part is retired at the next reset"),
    (157, 157, Nobody, "a faulty part could not be retired"),
    (158, 158, Device, "the device did not answer in time"),
    (159, 159, Nobody, "the link to the processor met an error"),
    (160, 161, Nobody, "a faulty memory channel was found"),
    (162, 162, Record, "the device smooths its power again"),
    (163, 165, Nobody, "the part of the device that smooths its power is worn"),
    (167, 167, Device, "the PCIe connection did not answer in time"),
    (168, 168, Device, "a part of the memory that the driver needs is faulty"),
    (169, 169, Device, "an internal microcontroller halted"),
    (171, 172, Device, "memory lost bits beyond repair"),
    (XID_UNKNOWN, XID_UNKNOWN, Nobody, "an error that its driver has no number for"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_once_and_in_order() {
        assert!(TABLE.iter().all(|(first, last, ..)| first <= last));
        assert!(TABLE.is_sorted_by(|(_, last, ..), (first, ..)| last < first));
    }

    #[test]
    fn faults_of_programs_leave_the_device_in_the_pool() {
        for xid in [8, 11, 13, 31, 32, 39, 43, 45, 68, 72, 80, 94, 105, 126, 135, 137] {
            assert_eq!(xid_blame(xid).0, XidBlame::Program, "{xid}");
        }
        for xid in [46, 48, 64, 74, 79, 95, 119, 140, 143, 150, 158] {
            assert_eq!(xid_blame(xid).0, XidBlame::Device, "{xid}");
        }
        for xid in [106, 154] {
            assert_eq!(xid_blame(xid).0, XidBlame::Record, "{xid}");
        }
    }

    #[test]
    fn what_nobody_can_read_takes_no_device_away_for_good() {
        for xid in [0, 1, 7, 63, 92, 109, 149, 185, XID_UNKNOWN, u64::MAX] {
            assert_eq!(xid_blame(xid).0, XidBlame::Nobody, "{xid}");
        }
        assert_eq!(xid_blame(998).1, UNKNOWN);
    }
}
