/* SPDX-License-Identifier: Apache-2.0 */
/* Reads domain XML as libvirt gives it: disks, consoles, the D-VM's tunnel and metadata. */
#include <errno.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "domain_xml.h"
#include "parse.h"

static void doc_free(xmlDoc **doc)
{
	if (*doc) {
		xmlFreeDoc(*doc);
	}
}

static void xml_string_free(xmlChar **s)
{
	if (*s) {
		xmlFree(*s);
	}
}

#define _cleanup_doc_ _cleanup_(doc_free)
#define _cleanup_xml_string_ _cleanup_(xml_string_free)

/* `root`: name that the document's element must have. */
static int doc_parse(const char *xml, const char *root, xmlDoc **ret, xmlNode **ret_root)
{
	_cleanup_doc_ xmlDoc *doc = NULL;
	xmlNode *node;
	size_t len = strlen(xml);

	if (len > 16 << 20) {
		return -EBADMSG;
	}
	doc = xmlReadMemory(xml, (int)len, NULL, NULL,
			    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
				    XML_PARSE_NOBLANKS);
	if (!doc) {
		return -EBADMSG;
	}
	node = xmlDocGetRootElement(doc);
	if (!node || strcmp((const char *)node->name, root) != 0) {
		return -EBADMSG;
	}
	*ret = TAKE_PTR(doc);
	*ret_root = node;
	return 0;
}

static bool node_is(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

/* First child element of that name; NULL if none or `parent` is NULL. */
static xmlNode *child(const xmlNode *parent, const char *name)
{
	if (!parent) {
		return NULL;
	}
	for (xmlNode *node = parent->children; node; node = node->next) {
		if (node_is(node, name)) {
			return node;
		}
	}
	return NULL;
}

/* Copies an attribute into a fixed field; "" when absent or longer. */
static void attr_field(const xmlNode *node, const char *name, char *field, size_t size)
{
	_cleanup_xml_string_ xmlChar *value = NULL;

	field[0] = 0;
	if (!node) {
		return;
	}
	value = xmlGetProp((xmlNode *)node, BAD_CAST name);
	if (value && strlen((const char *)value) < size) {
		strcpy(field, (const char *)value);
	}
}

/* NULL stays NULL; -ENOMEM. */
static int attr_copy(const xmlNode *node, const char *name, char **ret)
{
	_cleanup_xml_string_ xmlChar *value = NULL;
	char *copy = NULL;

	if (node) {
		value = xmlGetProp((xmlNode *)node, BAD_CAST name);
	}
	if (value) {
		copy = strdup((const char *)value);
		if (!copy) {
			return -ENOMEM;
		}
	}
	*ret = copy;
	return 0;
}

/* 0 when absent or no number. */
static unsigned attr_number(const xmlNode *node, const char *name)
{
	char text[16];
	uint32_t value;

	attr_field(node, name, text, sizeof(text));
	return parse_u32(text, &value) < 0 ? 0 : value;
}

static void text_field(const xmlNode *node, char *field, size_t size)
{
	_cleanup_xml_string_ xmlChar *value = NULL;

	field[0] = 0;
	if (!node) {
		return;
	}
	value = xmlNodeGetContent(node);
	if (value && strlen((const char *)value) < size) {
		strcpy(field, (const char *)value);
	}
}

static uint64_t text_number(const xmlNode *node)
{
	char text[24];
	uint64_t value;

	text_field(node, text, sizeof(text));
	return parse_u64(text, &value) < 0 ? 0 : value;
}

static int disk_read(const xmlNode *node, struct domain_disk *disk)
{
	char type[16], device[16];
	const xmlNode *source = child(node, "source");

	*disk = (struct domain_disk){ 0 };
	attr_field(node, "type", type, sizeof(type));
	attr_field(node, "device", device, sizeof(device));
	attr_field(child(node, "target"), "dev", disk->dev, sizeof(disk->dev));
	attr_field(child(node, "driver"), "type", disk->format, sizeof(disk->format));
	text_field(child(node, "serial"), disk->serial, sizeof(disk->serial));
	if (!disk->format[0]) {
		strcpy(disk->format, "raw"); /* libvirt's own default: it does not probe */
	}
	disk->cdrom = strcmp(device, "cdrom") == 0 || strcmp(device, "floppy") == 0;
	disk->readonly = disk->cdrom || child(node, "readonly");
	if (strcmp(type, "file") == 0) {
		disk->backend = DISK_BACKEND_FILE;
		return attr_copy(source, "file", &disk->source);
	}
	if (strcmp(type, "block") == 0) {
		disk->backend = DISK_BACKEND_BLOCK;
		return attr_copy(source, "dev", &disk->source);
	}
	return 0;
}

static enum console_backend console_backend(const xmlNode *node)
{
	const xmlNode *source = child(node, "source");
	char type[16], mode[16], protocol[16];

	attr_field(node, "type", type, sizeof(type));
	attr_field(source, "mode", mode, sizeof(mode));
	attr_field(child(node, "protocol"), "type", protocol, sizeof(protocol));
	if (strcmp(type, "pty") == 0) {
		return CONSOLE_BACKEND_PTY;
	}
	if (strcmp(type, "file") == 0) {
		return CONSOLE_BACKEND_FILE;
	}
	/* Where the domain is the one that connects, there is nothing to connect to. */
	if (strcmp(mode, "bind") == 0 && strcmp(type, "unix") == 0) {
		return CONSOLE_BACKEND_UNIX;
	}
	if (strcmp(mode, "bind") == 0 && strcmp(type, "tcp") == 0 &&
	    (protocol[0] == 0 || strcmp(protocol, "raw") == 0)) {
		return CONSOLE_BACKEND_TCP;
	}
	return CONSOLE_BACKEND_OTHER;
}

static int console_read(const xmlNode *node, struct console_place *place)
{
	const xmlNode *source = child(node, "source");
	int r;

	place->backend = console_backend(node);
	r = attr_copy(source, "path", &place->path);
	if (r == 0) {
		r = attr_copy(source, "host", &place->host);
	}
	if (r == 0) {
		r = attr_copy(source, "service", &place->port);
	}
	if (r == 0) {
		r = attr_copy(child(node, "log"), "file", &place->log);
	}
	attr_field(child(node, "alias"), "name", place->alias, sizeof(place->alias));
	return r;
}

/* A serial port is also listed as a console: <target type='serial'/>. */
static bool console_is_serial(const xmlNode *node)
{
	char type[16];

	attr_field(child(node, "target"), "type", type, sizeof(type));
	return strcmp(type, "serial") == 0;
}

static void console_add(const xmlNode *node, struct domain_info *info)
{
	struct domain_console *console;

	if (info->n_consoles == DOMAIN_CONSOLES_MAX) {
		return;
	}
	console = &info->consoles[info->n_consoles++];
	attr_field(node, "type", console->type, sizeof(console->type));
	console->usable = console_backend(node) > CONSOLE_BACKEND_OTHER || child(node, "log");
}

static int devices_read(const xmlNode *devices, struct domain_info *info,
			const xmlNode **ret_console)
{
	const xmlNode *serial = NULL, *console = NULL;
	int r;

	for (const xmlNode *node = devices ? devices->children : NULL; node; node = node->next) {
		if (node_is(node, "disk") && info->n_disks < DOMAIN_DISKS_MAX) {
			r = disk_read(node, &info->disks[info->n_disks]);
			if (r < 0) {
				return r;
			}
			info->n_disks++;
		} else if (node_is(node, "serial")) {
			serial = serial ? serial : node;
			console_add(node, info);
		} else if (node_is(node, "console") && !console_is_serial(node)) {
			console = console ? console : node;
			console_add(node, info);
		} else if (node_is(node, "graphics") &&
			   info->n_graphics < ARRAY_SIZE(info->graphics)) {
			attr_field(node, "type", info->graphics[info->n_graphics++],
				   sizeof(info->graphics[0]));
		}
	}
	*ret_console = serial ? serial : console;
	return 0;
}

void console_place_fini(struct console_place *place)
{
	free(place->path);
	free(place->host);
	free(place->port);
	free(place->log);
	*place = (struct console_place){ 0 };
}

int domain_xml_read(const char *xml, struct domain_info *ret, struct console_place *ret_place)
{
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	_cleanup_(console_place_fini) struct console_place place = { 0 };
	_cleanup_doc_ xmlDoc *doc = NULL;
	const xmlNode *console = NULL;
	char name[512];
	xmlNode *root;
	int r;

	r = doc_parse(xml, "domain", &doc, &root);
	if (r < 0) {
		return r;
	}
	text_field(child(root, "name"), name, sizeof(name));
	info.name = strdup(name);
	if (!info.name) {
		return -ENOMEM;
	}
	info.run = attr_number(root, "id"); /* only the description of a running domain has one */
	info.memory_mib = text_number(child(root, "memory")) / 1024; /* libvirt gives KiB */
	info.vcpus = (unsigned)text_number(child(root, "vcpu"));
	r = devices_read(child(root, "devices"), &info, &console);
	if (r == 0 && console) {
		r = console_read(console, &place);
	}
	if (r < 0) {
		return r;
	}
	*ret = info;
	info = (struct domain_info){ 0 };
	if (ret_place) {
		*ret_place = place;
		place = (struct console_place){ 0 };
	}
	return 0;
}

/* The first of a domain's devices, NULL for none. */
static int devices_parse(const char *xml, xmlDoc **ret_doc, xmlNode **ret_first)
{
	xmlNode *root;
	int r = doc_parse(xml, "domain", ret_doc, &root);

	if (r < 0) {
		return r;
	}
	root = child(root, "devices");
	*ret_first = root ? root->children : NULL;
	return 0;
}

int domain_xml_read_port(const char *xml, enum vm_port port, struct console_place *ret)
{
	_cleanup_(console_place_fini) struct console_place place = { 0 };
	_cleanup_doc_ xmlDoc *doc = NULL;
	const char *element = vm_port_is_parallel(port) ? "parallel" : "serial";
	unsigned left = port - (vm_port_is_parallel(port) ? VM_PORT_PARALLEL0 : VM_PORT_SERIAL0);
	xmlNode *node;
	int r;

	r = devices_parse(xml, &doc, &node);
	if (r < 0) {
		return r;
	}
	for (; node; node = node->next) {
		if (node_is(node, element) && left-- == 0) {
			r = console_read(node, &place);
			break;
		}
	}
	if (r == 0) {
		*ret = place;
		place = (struct console_place){ 0 };
	}
	return r;
}

int domain_xml_read_tunnel(const char *xml, char **ret_path, bool *ret_open)
{
	_cleanup_doc_ xmlDoc *doc = NULL;
	xmlNode *node;
	char *path = NULL;
	int r;

	r = devices_parse(xml, &doc, &node);
	if (r < 0) {
		return r;
	}
	for (; node; node = node->next) {
		char name[64], state[16];

		if (!node_is(node, "channel")) {
			continue;
		}
		attr_field(child(node, "target"), "name", name, sizeof(name));
		attr_field(child(node, "target"), "state", state, sizeof(state));
		if (strcmp(name, DVM_TUNNEL_CHANNEL) == 0) {
			*ret_open = strcmp(state, "connected") == 0;
			r = attr_copy(child(node, "source"), "path", &path);
			if (r < 0 || path) {
				break;
			}
		}
	}
	if (r < 0) {
		return r;
	}
	if (!path) {
		return -ENOENT;
	}
	*ret_path = path;
	return 0;
}

/* An element as text. */
static int node_copy(xmlDoc *doc, xmlNode *node, char **ret)
{
	xmlBuffer *text = xmlBufferCreate();
	char *copy = NULL;

	if (text && xmlNodeDump(text, doc, node, 0, 0) >= 0) {
		copy = strdup((const char *)xmlBufferContent(text));
	}
	if (text) {
		xmlBufferFree(text);
	}
	if (!copy) {
		return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

int domain_xml_read_disk(const char *xml, const char *serial, char **ret_disk_xml)
{
	_cleanup_doc_ xmlDoc *doc = NULL;
	xmlNode *node;
	int r;

	r = devices_parse(xml, &doc, &node);
	if (r < 0) {
		return r;
	}
	for (; node; node = node->next) {
		char value[DISK_SERIAL_MAX + 1];

		if (!node_is(node, "disk")) {
			continue;
		}
		text_field(child(node, "serial"), value, sizeof(value));
		if (strcmp(value, serial) == 0) {
			return node_copy(doc, node, ret_disk_xml);
		}
	}
	return -ENOENT;
}

static unsigned attr_hex(const xmlNode *node, const char *name)
{
	char text[16];

	attr_field(node, name, text, sizeof(text));
	return (unsigned)strtoul(text, NULL, 16);
}

static void place_read(const xmlNode *node, char ret_place[DVM_PORT_PLACE_MAX + 1])
{
	const xmlNode *address = child(node, "address");
	char name[DVM_PORT_PLACE_MAX - sizeof("virtio")];

	if (node_is(node, "channel")) {
		attr_field(child(node, "target"), "name", name, sizeof(name));
		snprintf(ret_place, DVM_PORT_PLACE_MAX + 1, "virtio %s", name);
		return;
	}
	snprintf(ret_place, DVM_PORT_PLACE_MAX + 1, "pci %04x:%02x:%02x.%x",
		 attr_hex(address, "domain") & 0xffff, attr_hex(address, "bus") & 0xff,
		 attr_hex(address, "slot") & 0xff, attr_hex(address, "function") & 7);
}

int domain_xml_read_dvm_port(const char *xml, const char *path, char **ret_xml,
			     char ret_place[DVM_PORT_PLACE_MAX + 1])
{
	_cleanup_doc_ xmlDoc *doc = NULL;
	xmlNode *node;
	int r;

	r = devices_parse(xml, &doc, &node);
	if (r < 0) {
		return r;
	}
	for (; node; node = node->next) {
		_cleanup_free_ char *here = NULL;

		if (!node_is(node, "serial") && !node_is(node, "channel")) {
			continue;
		}
		r = attr_copy(child(node, "source"), "path", &here);
		if (r < 0) {
			return r;
		}
		if (here && strcmp(here, path) == 0) {
			place_read(node, ret_place);
			return node_copy(doc, node, ret_xml);
		}
	}
	return -ENOENT;
}

int domain_free_dev(const struct domain_info *info, char ret_dev[16])
{
	for (unsigned i = 0; i < 26 * 27; i++) {
		char dev[16] = "vd";
		size_t len = 2;
		bool used = false;

		if (i >= 26) {
			dev[len++] = (char)('a' + i / 26 - 1);
		}
		dev[len] = (char)('a' + i % 26);
		for (size_t j = 0; j < info->n_disks; j++) {
			used |= strcmp(info->disks[j].dev, dev) == 0;
		}
		if (!used) {
			memcpy(ret_dev, dev, sizeof(dev));
			return 0;
		}
	}
	return -ENOSPC;
}

/* libvirt's words, where the emulator has another; those that stand for themselves are its own. */
static const struct {
	const char *libvirt, *emulator;
} watchdog_actions[] = {
	{ "reset", "reset" },		{ "shutdown", "shutdown" }, { "poweroff", "poweroff" },
	{ "pause", "pause" },		{ "none", "none" },	    { "dump", "pause" },
	{ "inject-nmi", "inject-nmi" },
};

int domain_xml_read_watchdog(const char *xml, char ret[WATCHDOG_ACTION_MAX + 1])
{
	_cleanup_doc_ xmlDoc *doc = NULL;
	char action[WATCHDOG_ACTION_MAX + 1];
	xmlNode *root, *watchdog;
	int r = doc_parse(xml, "domain", &doc, &root);

	if (r < 0) {
		return r;
	}
	watchdog = child(child(root, "devices"), "watchdog");
	if (!watchdog) {
		return -ENOENT;
	}
	attr_field(watchdog, "action", action, sizeof(action));
	for (size_t i = 0; i < ARRAY_SIZE(watchdog_actions); i++) {
		if (strcmp(watchdog_actions[i].libvirt, action) == 0) {
			strcpy(ret, watchdog_actions[i].emulator);
			return 0;
		}
	}
	strcpy(ret, "reset"); /* the default of both */
	return 0;
}

int domain_xml_read_metadata(const char *xml, char ret_session[DVM_SESSION_MAX + 1],
			     char ret_owner[DVM_OWNER_MAX + 1])
{
	_cleanup_doc_ xmlDoc *doc = NULL;
	xmlNode *root;
	int r;

	r = doc_parse(xml, "session", &doc, &root);
	if (r < 0) {
		return r;
	}
	attr_field(root, "id", ret_session, DVM_SESSION_MAX + 1);
	attr_field(root, "owner", ret_owner, DVM_OWNER_MAX + 1);
	return ret_session[0] ? 0 : -EBADMSG;
}
