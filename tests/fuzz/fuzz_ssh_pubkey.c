/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a line of SSH public key; one that is taken reads the same when it is written again.
 */
#include <string.h>

#include "cleanup.h"
#include "fuzz.h"
#include "parse.h"
#include "ssh_pubkey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *line = strndup((const char *)data, size);
	_cleanup_free_ char *again = NULL;
	struct ssh_pubkey key, second;

	must(line);
	if (ssh_pubkey_parse(line, &key, NULL) < 0) {
		return 0;
	}
	must(key.blob_len > 0 && key.blob_len <= sizeof(key.blob));
	must(key.bits >= 256 && key.bits <= SSH_PUBKEY_RSA_BITS_MAX);
	must(!strpbrk(key.text, " \"\\\n"));
	again = strf("%s %s", key.type, key.text);
	must(again && ssh_pubkey_parse(again, &second, NULL) == 0);
	must(second.blob_len == key.blob_len && memcmp(second.blob, key.blob, key.blob_len) == 0);
	return 0;
}
