#include "ntlm.h"

#include <string.h>

/* MD5 (RFC 1321); little-endian machines only. */

struct md5 {
  uint32_t state[4];
  uint64_t bytes;
  uint8_t left[64];
};

static const uint32_t SINES[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
static const uint8_t SHIFTS[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static void md5_block(struct md5 *md5, const uint8_t *block) {
  uint32_t words[16], a = md5->state[0], b = md5->state[1], c = md5->state[2], d = md5->state[3];
  memcpy(words, block, 64);
  for (int i = 0; i < 64; i++) {
    int round = i / 16, which;
    uint32_t mixed;
    if (round == 0) mixed = (b & c) | (~b & d), which = i;
    else if (round == 1) mixed = (d & b) | (~d & c), which = (5 * i + 1) % 16;
    else if (round == 2) mixed = b ^ c ^ d, which = (3 * i + 5) % 16;
    else mixed = c ^ (b | ~d), which = 7 * i % 16;
    uint32_t sum = a + mixed + SINES[i] + words[which];
    int shift = SHIFTS[round][i % 4];
    a = d, d = c, c = b, b += sum << shift | sum >> (32 - shift);
  }
  md5->state[0] += a, md5->state[1] += b, md5->state[2] += c, md5->state[3] += d;
}

static void md5_begin(struct md5 *md5) {
  *md5 = (struct md5){{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}, 0, {0}};
}

static void md5_add(struct md5 *md5, const uint8_t *data, size_t length) {
  size_t filled = md5->bytes % 64;
  md5->bytes += length;
  while (length) {
    size_t part = 64 - filled < length ? 64 - filled : length;
    memcpy(md5->left + filled, data, part);
    filled += part, data += part, length -= part;
    if (filled == 64) md5_block(md5, md5->left), filled = 0;
  }
}

static void md5_end(struct md5 *md5, uint8_t out[16]) {
  static const uint8_t padding[64] = {0x80};
  uint64_t bits = md5->bytes * 8;
  md5_add(md5, padding, 1 + (119 - md5->bytes % 64) % 64);
  md5_add(md5, (const uint8_t *)&bits, 8);
  memcpy(out, md5->state, 16);
}

static void hmac_md5(const uint8_t key[16], const uint8_t *first, size_t first_length, const uint8_t *second,
                     size_t second_length, uint8_t out[16]) {
  uint8_t inner[64], outer[64];
  for (int i = 0; i < 64; i++) {
    uint8_t byte = i < 16 ? key[i] : 0;
    inner[i] = byte ^ 0x36, outer[i] = byte ^ 0x5c;
  }
  struct md5 md5;
  md5_begin(&md5);
  md5_add(&md5, inner, 64), md5_add(&md5, first, first_length), md5_add(&md5, second, second_length);
  md5_end(&md5, out);
  md5_begin(&md5);
  md5_add(&md5, outer, 64), md5_add(&md5, out, 16);
  md5_end(&md5, out);
}

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static size_t decode_base64(const char *text, size_t length, uint8_t *out, size_t room) {
  uint32_t bits = 0;
  size_t made = 0;
  int count = 0;
  for (size_t i = 0; i < length && text[i] != '='; i++) {
    const char *at = strchr(BASE64, text[i]);
    if (!text[i] || !at || made >= room) return 0;
    bits = bits << 6 | (uint32_t)(at - BASE64), count += 6;
    if (count >= 8) count -= 8, out[made++] = (uint8_t)(bits >> count);
  }
  return made;
}

static size_t encode_base64(const uint8_t *data, size_t length, char *out) {
  size_t made = 0;
  for (size_t i = 0; i < length; i += 3) {
    uint32_t bits = (uint32_t)data[i] << 16;
    if (i + 1 < length) bits |= (uint32_t)data[i + 1] << 8;
    if (i + 2 < length) bits |= data[i + 2];
    for (int shift = 18; shift >= 0; shift -= 6) out[made++] = BASE64[bits >> shift & 63];
  }
  if (length % 3) out[made - 1] = '=';
  if (length % 3 == 1) out[made - 2] = '=';
  return made;
}

static size_t decode_hex(const char *text, uint8_t *out, size_t room) {
  size_t length = strlen(text);
  if (length % 2 || length / 2 > room) return 0;
  for (size_t i = 0; i < length; i++) {
    static const char digits[] = "0123456789abcdef";
    const char *at = strchr(digits, text[i]);
    if (!at) return 0;
    out[i / 2] = (uint8_t)(out[i / 2] << 4 | (at - digits));
  }
  return length / 2;
}

/* The key and the messages (MS-NLMP 2.2.1). */

int ntlm_init(struct ntlm *ntlm, const char *key_hex, const char *challenge_hex) {
  memset(ntlm, 0, sizeof *ntlm);
  ntlm->challenge_bytes = decode_hex(challenge_hex, ntlm->challenge, sizeof ntlm->challenge);
  return decode_hex(key_hex, ntlm->key, sizeof ntlm->key) == 16 && ntlm->challenge_bytes >= 32;
}

static size_t read_message(const char *token, size_t length, uint8_t out[NTLM_MAX_BYTES]) {
  size_t bytes = decode_base64(token, length, out, NTLM_MAX_BYTES);
  return bytes >= 12 && !memcmp(out, "NTLMSSP", 8) ? bytes : 0;
}

int ntlm_type(const char *token, size_t length) {
  uint8_t message[NTLM_MAX_BYTES];
  return read_message(token, length, message) ? message[8] : 0;
}

size_t ntlm_challenge(const struct ntlm *ntlm, const uint8_t server_challenge[8], char *out) {
  uint8_t message[NTLM_MAX_BYTES];
  memcpy(message, ntlm->challenge, ntlm->challenge_bytes);
  memcpy(message + 24, server_challenge, 8);
  return encode_base64(message, ntlm->challenge_bytes, out);
}

int ntlm_verify(const struct ntlm *ntlm, const uint8_t server_challenge[8], const char *token, size_t length) {
  uint8_t message[NTLM_MAX_BYTES], proof[16];
  size_t bytes = read_message(token, length, message);
  if (bytes < 64 || message[8] != 3) return 0;
  size_t response_bytes = message[20] | (size_t)message[21] << 8;
  uint32_t start;
  memcpy(&start, message + 24, 4);
  /* NTProofStr and the fixed part of the client's challenge: anything shorter is NTLMv1. */
  if (response_bytes < 16 + 28 || start > bytes || response_bytes > bytes - start) return 0;
  hmac_md5(ntlm->key, server_challenge, 8, message + start + 16, response_bytes - 16, proof);
  return !memcmp(proof, message + start, 16);
}
