/* The verifying side of NTLMv2 (MS-NLMP 3.3.2), as cheap as it can be: the user's key is handed in. */
#ifndef NTLM_H
#define NTLM_H

#include <stddef.h>
#include <stdint.h>

#define NTLM_MAX_BYTES 2048

struct ntlm {
  uint8_t key[16];                   /* NTOWFv2 of the one user */
  uint8_t challenge[NTLM_MAX_BYTES]; /* a CHALLENGE message whose server challenge is filled in */
  size_t challenge_bytes;
};

/* Returns 0 when the texts in hex are broken. */
int ntlm_init(struct ntlm *ntlm, const char *key_hex, const char *challenge_hex);

/* The number of the message in a base64 token (1 negotiate, 3 authenticate), 0 for none. */
int ntlm_type(const char *token, size_t length);

/* Writes a CHALLENGE in base64 with these 8 bytes; `out` has room for 2 * NTLM_MAX_BYTES. Returns its length. */
size_t ntlm_challenge(const struct ntlm *ntlm, const uint8_t server_challenge[8], char *out);

/* Whether an AUTHENTICATE in base64 proves that its sender knows the key. */
int ntlm_verify(const struct ntlm *ntlm, const uint8_t server_challenge[8], const char *token, size_t length);

#endif
