/* CRC32C (Castagnoli polynomial 0x1EDC6F41, reflected), as in iSCSI, ext4 and Kafka: the checksum of every format we write.
 *
 * crc = sm_crc32c(0, bytes, n); a checksum over several pieces passes the previous result as `crc`. Uses the processor's
 * instruction where it has one; the scalar twin gives the same result and is public for tests. */
#ifndef SM_CRC32C_H
#define SM_CRC32C_H

#include "base/base.h"

uint32_t sm_crc32c(uint32_t crc, const void *bytes, size_t n);
uint32_t sm_crc32c_scalar(uint32_t crc, const void *bytes, size_t n);

#endif
