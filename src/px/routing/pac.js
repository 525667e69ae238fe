// What a PAC script finds in its world: the functions of Mozilla's and Microsoft's documents
// (developer.mozilla.org "Proxy Auto-Configuration (PAC) file"; learn.microsoft.com "IPv6-Aware Proxy Helper
// API Definitions"), and the two doors by which Px loads a script and calls it.
//
// No function here waits. A name's addresses are looked up in a table; one that is not there is noted and ends
// the call, Px resolves it and calls again. What a call with such notes returned is worth nothing, as the script
// may have caught the exception.
//
// Both doors take and return JSON texts and let nothing that a script throws through: telling a Python
// program of an exception calls the script's own code, without a limit of time.
(function (world) {
    "use strict";

    // A script may put its own in the place of these.
    const { Array, Error, InternalError, Map, Number, Object, RegExp, Set, String, Symbol, parseInt } = world;
    const { parse, stringify } = world.JSON;
    const MAX_ANSWER_CHARS = 32768;
    const MAX_REASON_CHARS = 500;
    const MAX_ALERTS = 20;
    const MAX_MISSING = 100;
    const MAX_NAME_CHARS = 255;
    const MAX_KEPT = 20000;
    const MISSING = new Error("a name that is being looked up");
    const OUT_OF_MEMORY = '{"error":"InternalError: out of memory","stack":""}';
    const UNTELLABLE = '{"error":"an exception that cannot be told","stack":""}';

    let findProxy = null;
    let names = new Map();      // host -> its addresses, none: it has none
    let ownAddresses = [];
    let missing = [];
    let alerts = [];

    // Addresses

    // The four numbers of an IPv4 address, or null.
    function parseIPv4(text) {
        const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
        if (!parts) return null;
        const bytes = [+parts[1], +parts[2], +parts[3], +parts[4]];
        return bytes.every((byte) => byte <= 255) ? bytes : null;
    }

    // The sixteen numbers of an IPv6 address (RFC 4291 2.2), or null.
    function parseIPv6(text) {
        if (!text.includes(":") || !/^[\da-f:.]+(%[\w.-]+)?$/i.test(text)) return null;
        const halves = text.replace(/%.*/, "").split("::");
        if (halves.length > 2) return null;
        const [head, tail] = [parseGroups(halves[0], halves.length === 1), parseGroups(halves[1] || "", true)];
        if (!head || !tail) return null;
        const gap = 16 - head.length - tail.length;
        if (halves.length > 1 ? gap < 2 : gap !== 0) return null;
        return [...head, ...new Array(gap).fill(0), ...tail];
    }

    function parseGroups(text, mayEndInIPv4) {
        const bytes = [];
        const groups = text === "" ? [] : text.split(":");
        for (const [index, group] of groups.entries()) {
            const last = mayEndInIPv4 && index === groups.length - 1 ? parseIPv4(group) : null;
            if (last) bytes.push(...last);
            else if (/^[\da-f]{1,4}$/i.test(group)) bytes.push(parseInt(group, 16) >> 8, parseInt(group, 16) & 255);
            else return null;
        }
        return bytes;
    }

    function parseAddress(text) {
        return parseIPv4(text) || parseIPv6(text);
    }

    // IPv4 addresses as numbers: a script of a thousand rules asks for the same ones again and again.
    const numbers = new Map(); // text -> its number, null: no address

    function toNumber(text) {
        let number = numbers.get(text);
        if (number === undefined) {
            if (numbers.size >= MAX_KEPT) numbers.clear();
            const bytes = parseIPv4(text);
            number = bytes === null ? null : bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
            numbers.set(text, number);
        }
        return number;
    }

    function isIPv4(text) {
        return toNumber(text) !== null;
    }

    // All addresses of a host, none where it has none.
    function lookUp(host) {
        const addresses = names.get(host);
        if (addresses !== undefined) return addresses;
        if (typeof host !== "string" || host === "" || host.length > MAX_NAME_CHARS) return [];
        if (/[\ud800-\udfff]/.test(host)) return []; // no names, and half of a pair is no text in Python
        if (isIPv4(host) || parseIPv6(host)) return [host];
        if (missing.length < MAX_MISSING && !missing.includes(host)) missing.push(host);
        throw MISSING;
    }

    // Names

    world.isPlainHostName = function isPlainHostName(host) {
        return !/[.:]/.test(host);
    };

    world.dnsDomainIs = function dnsDomainIs(host, domain) {
        return String(host).endsWith(domain);
    };

    world.localHostOrDomainIs = function localHostOrDomainIs(host, hostdom) {
        return host === hostdom || String(hostdom).startsWith(host + ".");
    };

    world.dnsDomainLevels = function dnsDomainLevels(host) {
        return String(host).split(".").length - 1;
    };

    // Shell patterns. Browsers make regular expressions of them, and scripts rely on what comes along with
    // that: (one|other) and [a-z].

    const matchers = new Map(); // pattern -> function that matches a text

    world.shExpMatch = function shExpMatch(text, pattern) {
        let matcher = matchers.get(pattern);
        if (matcher === undefined) {
            if (matchers.size >= MAX_KEPT) matchers.clear();
            matcher = makeMatcher(String(pattern));
            matchers.set(pattern, matcher);
        }
        return matcher(String(text));
    };

    // Most patterns are a literal with a star before, behind or around it: no regular expression then.
    function makeMatcher(pattern) {
        const [, before, literal, behind] = /^(\**)([^*?()[\]|]*)(\**)$/.exec(pattern) || [];
        if (literal === undefined) return makePatternMatcher(pattern);
        if (literal === "" && before + behind !== "") return () => true;
        if (before && behind) return (text) => text.includes(literal);
        if (before) return (text) => text.endsWith(literal);
        if (behind) return (text) => text.startsWith(literal);
        return (text) => text === literal;
    }

    function makePatternMatcher(pattern) {
        let expression;
        try {
            expression = new RegExp("^(?:" + toSource(pattern, /[.+^${}\\\/]/g) + ")$", "s");
        } catch (error) { // a bracket without its partner means itself
            expression = new RegExp("^(?:" + toSource(pattern, /[.+^${}\\\/()[\]|]/g) + ")$", "s");
        }
        return (text) => expression.test(text);
    }

    function toSource(pattern, literals) {
        return pattern.replace(/\[!/g, "[\u0000").replace(literals, "\\$&").replace(/\u0000/g, "^")
            .replace(/\*+/g, ".*").replace(/\?/g, ".");
    }

    // Look-ups: the older functions know IPv4 only

    function findIPv4(host) {
        const found = lookUp(host).find(isIPv4);
        return found === undefined ? null : found;
    }

    world.dnsResolve = function dnsResolve(host) {
        return findIPv4(host);
    };

    world.isResolvable = function isResolvable(host) {
        return findIPv4(host) !== null;
    };

    world.isInNet = function isInNet(host, pattern, mask) {
        const network = toNumber(pattern);
        const bits = toNumber(mask);
        if (network === null || bits === null) return false;
        const found = findIPv4(host);
        return found !== null && (toNumber(found) & bits) === (network & bits);
    };

    world.convert_addr = function convert_addr(address) {
        const [a, b, c, d] = String(address).split(".");
        return ((a & 255) << 24) | ((b & 255) << 16) | ((c & 255) << 8) | (d & 255);
    };

    world.myIpAddress = function myIpAddress() {
        return ownAddresses.find(isIPv4) || ownAddresses[0] || "127.0.0.1";
    };

    world.dnsResolveEx = function dnsResolveEx(host) {
        return lookUp(host).join(";");
    };

    world.isResolvableEx = function isResolvableEx(host) {
        return lookUp(host).length > 0;
    };

    // One address, several with semicolons between, or a name.
    world.isInNetEx = function isInNetEx(host, prefix) {
        const [, base, digits] = /^([\da-f:.]+)\/(\d{1,3})$/i.exec(prefix) || [];
        const network = base === undefined ? null : parseAddress(base);
        if (!network || +digits > network.length * 8) return false;
        const addresses = String(host).split(";").flatMap((each) => lookUp(each.trim()));
        return addresses.some((each) => startsAlike(parseAddress(each), network, +digits));
    };

    function startsAlike(address, network, length) {
        return address !== null && address.length === network.length && address.every((byte, i) => {
            const mask = 255 << (8 - Math.min(8, Math.max(0, length - 8 * i))) & 255;
            return (byte & mask) === (network[i] & mask);
        });
    }

    world.myIpAddressEx = function myIpAddressEx() {
        return ownAddresses.join(";");
    };

    // IPv6 first, each kind by number; the empty text where one is no address.
    world.sortIpAddressList = function sortIpAddressList(list) {
        const texts = String(list).split(";").map((each) => each.trim()).filter((each) => each !== "");
        const addresses = texts.map((text) => ({ text, bytes: parseAddress(text) }));
        if (addresses.some(({ bytes }) => bytes === null)) return "";
        return addresses.sort((a, b) => compareAddresses(a.bytes, b.bytes)).map(({ text }) => text).join(";");
    };

    function compareAddresses(a, b) {
        if (a.length !== b.length) return b.length - a.length;
        const i = a.findIndex((byte, index) => byte !== b[index]);
        return i < 0 ? 0 : a[i] - b[i];
    }

    world.getClientVersion = function getClientVersion() {
        return "1.0";
    };

    world.alert = function alert(text) {
        if (alerts.length < MAX_ALERTS) alerts.push(String(text).slice(0, MAX_REASON_CHARS));
    };

    // Times. `Date` is looked up when it is needed: a script may have put its own there, as in browsers.

    const WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    const MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

    // Arguments without the "GMT" that may end them, and how to ask a Date: getHours or getUTCHours.
    function splitZone(args) {
        const isGMT = args.length > 0 && String(args[args.length - 1]).toUpperCase() === "GMT";
        const now = new world.Date();
        return [isGMT ? args.slice(0, -1) : args, (field) => now["get" + (isGMT ? "UTC" : "") + field]()];
    }

    function compare(a, b) {
        const i = a.findIndex((number, index) => number !== b[index]);
        return i < 0 ? 0 : a[i] - b[i];
    }

    // Whether now is from start to end, both included; a range that ends before it starts goes round.
    function isBetween(start, now, end) {
        const [isAfter, isBefore] = [compare(start, now) <= 0, compare(now, end) <= 0];
        return compare(start, end) <= 0 ? isAfter && isBefore : isAfter || isBefore;
    }

    world.weekdayRange = function weekdayRange(...args) {
        const [texts, get] = splitZone(args);
        const days = texts.filter((each) => each !== undefined)
            .map((each) => WEEKDAYS.indexOf(String(each).toUpperCase()));
        if (days.length < 1 || days.length > 2 || days.includes(-1)) return false;
        return isBetween([days[0]], [get("Day")], [days[days.length - 1]]);
    };

    // timeRange(hour), (hour, hour), (hour, minute, hour, minute), (h, m, s, h, m, s). The last hour, minute and
    // second belong to the range.
    world.timeRange = function timeRange(...args) {
        const [texts, get] = splitZone(args);
        const numbers = texts.map(Number);
        if (![1, 2, 4, 6].includes(numbers.length) || numbers.some(Number.isNaN)) return false;
        const half = Math.ceil(numbers.length / 2);
        const now = ["Hours", "Minutes", "Seconds"].slice(0, half).map(get);
        return isBetween(numbers.slice(0, half), now, numbers.slice(-half));
    };

    // A date or two of a kind: any of day, month and year, in any order.
    world.dateRange = function dateRange(...args) {
        const [texts, get] = splitZone(args);
        const parts = texts.map(parseDatePart);
        if (parts.length < 1 || parts.includes(null)) return false;
        const kinds = parts.map(({ kind }) => kind);
        const half = kinds.length / 2;
        const isRange = Number.isInteger(half) && kinds.slice(0, half).join() === kinds.slice(half).join();
        const [start, end] = isRange ? [parts.slice(0, half), parts.slice(half)] : [parts, parts];
        if (new Set(start.map(({ kind }) => kind)).size < start.length) return false;
        const order = start.map(({ kind }) => kind).sort();
        const toNumbers = (date) => order.map((wanted) => date.find(({ kind }) => kind === wanted).number);
        return isBetween(toNumbers(start), order.map((kind) => get(DATE_FIELDS[kind])), toNumbers(end));
    };

    // The kinds sort as dates do: the year counts most.
    const DATE_FIELDS = { "1 year": "FullYear", "2 month": "Month", "3 day": "Date" };

    function parseDatePart(text) {
        const month = MONTHS.indexOf(String(text).toUpperCase());
        if (month >= 0) return { kind: "2 month", number: month };
        const number = Number(text);
        if (!Number.isInteger(number) || number < 1) return null;
        return { kind: number > 31 ? "1 year" : "3 day", number };
    }

    // The doors

    function guard(work) {
        return function (text) {
            try {
                const result = work(parse(text));
                return typeof result === "string" ? result : UNTELLABLE;
            } catch (error) {
                try {
                    const result = missing.length ? tellMissing(error !== MISSING) : report(error);
                    return typeof result === "string" ? result : UNTELLABLE;
                } catch (again) {
                    return UNTELLABLE;
                }
            }
        };
    }

    // A script that caught the exception may have kept what it made of it.
    function tellMissing(isTainted) {
        return stringify({ missing, is_tainted: isTainted });
    }

    function report(error) {
        if (error === null) return OUT_OF_MEMORY; // what is thrown where there is none for an error
        const stack = typeof error === "object" ? String(error.stack) : "";
        return stringify({ error: String(error).slice(0, MAX_REASON_CHARS), stack: stack.slice(0, 5000) });
    }

    // The functions of a strict script are not to be seen from outside: it has to hand them over itself.
    const HAND_OVER = "\n;[typeof FindProxyForURLEx === 'function' ? FindProxyForURLEx : null,"
        + " typeof FindProxyForURL === 'function' ? FindProxyForURL : null]";
    const evaluate = world.eval;

    function begin(request) {
        names = new Map(request.names);
        ownAddresses = request.own_addresses;
        missing = [];
        alerts = [];
    }

    const load = guard((request) => {
        begin(request);
        const [extended, plain] = evaluate(request.script + HAND_OVER);
        if (missing.length) return tellMissing(true);
        findProxy = extended || plain;
        return findProxy ? "{}" : stringify({ error: "it has no function FindProxyForURL", stack: "" });
    });

    const find = guard((request) => {
        begin(request);
        const answer = findProxy(request.url, request.host);
        if (missing.length) return tellMissing(true);
        if (answer === null || answer === undefined) return stringify({ answer: "", alerts });
        if (typeof answer !== "string") return stringify({ error: "its answer is no text but of type " + typeof answer });
        if (answer.length > MAX_ANSWER_CHARS) return stringify({ error: "its answer is too long" });
        return stringify({ answer, alerts });
    });

    // Two kinds of exception no script can catch, so the doors cannot either: those of the limits. What Python
    // asks of them must not be the script's code.
    const limit = InternalError.prototype;
    const { get: getStack } = Object.getOwnPropertyDescriptor(Error.prototype, "stack");
    const tell = function () { return "InternalError: " + this.message; };
    Object.defineProperty(limit, "stack", { get: getStack });
    Object.defineProperty(limit, "toString", { value: tell });
    Object.defineProperty(limit, Symbol.toPrimitive, { value: tell });
    Object.freeze(limit);
    Object.defineProperty(Error, "prepareStackTrace", { value: undefined, configurable: false });
    Object.defineProperty(Error, "stackTraceLimit", { value: 10, configurable: false });
    // A thread that waits in here would wait for ever.
    delete world.Atomics;
    delete world.SharedArrayBuffer;

    world.px_load = load;
    world.px_find = find;
})(globalThis);
