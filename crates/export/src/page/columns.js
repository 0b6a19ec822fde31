// From the columns of a table to features, with the treatments fitted on the training rows.

const DAY = 86400000;
const PARTS = ["year", "month", "day", "weekday", "hour", "minute"];
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
  "November", "December"];

/// The directives of date formats: a pattern for the text, and the part of the date.
const DIRECTIVES = {
  "%Y": ["(\\d{4})", "year"], "%y": ["(\\d{2})", "short"], "%m": ["(\\d{1,2})", "month"], "%d": ["(\\d{1,2})", "day"],
  "%H": ["(\\d{1,2})", "hour"], "%I": ["(\\d{1,2})", "hour"], "%M": ["(\\d{1,2})", "minute"],
  "%S": ["(\\d{1,2})", "second"], "%.f": ["(\\.\\d+)?", "fraction"], "%p": ["([AaPp][Mm])", "half"],
  "%b": ["([A-Za-z]{3})", "name"], "%B": ["([A-Za-z]+)", "name"], "%a": ["[A-Za-z]{3}"],
  "%z": ["[+-]\\d{2}:?\\d{2}"], "%:z": ["[+-]\\d{2}:?\\d{2}"],
};
const DIRECTIVE = /%\.f|%:z|%[A-Za-z]/g;

/// The days since 1970 of a date, with the time as a fraction; NaN if the date does not exist.
function moment(year, month, day, seconds) {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const isReal = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  return isReal && seconds < 86400 ? date.getTime() / DAY + seconds / 86400 : NaN;
}

/// The days since 1970 of the date `text` in `format`; NaN if it has another format.
function days(text, format) {
  const kinds = [], literal = part => part.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
  const pieces = format.split(DIRECTIVE), directives = format.match(DIRECTIVE) ?? [];
  let pattern = "^" + literal(pieces[0]);
  directives.forEach((directive, at) => {
    const [shape, kind] = DIRECTIVES[directive];
    if (kind) kinds.push(kind);
    pattern += shape + literal(pieces[at + 1]);
  });
  const found = text.trim().match(new RegExp(pattern + "$"));
  if (!found) return NaN;
  const part = { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0, fraction: 0 };
  kinds.forEach((kind, at) => part[kind] = kind === "half" || kind === "name" ? found[at + 1] : +(found[at + 1] ?? 0));
  if ("short" in part) part.year = part.short + (part.short < 69 ? 2000 : 1900);
  const short = name => name.slice(0, 3).toLowerCase();
  if (part.name) part.month = 1 + MONTHS.findIndex(name => short(name) === short(part.name));
  if (part.half) part.hour = part.hour % 12 + (part.half.toLowerCase() === "pm" ? 12 : 0);
  return moment(part.year, part.month, part.day, part.hour * 3600 + part.minute * 60 + part.second + part.fraction);
}

/// Year, month, day, weekday (Monday is 1), hour and minute.
function parts(at) {
  const whole = Math.floor(at), date = new Date(whole * DAY);
  const minutes = Math.min(Math.floor((at - whole) * 1440 + 1e-6), 1439);
  return [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCDay() || 7,
    Math.floor(minutes / 60), minutes % 60];
}

const two = number => String(number).padStart(2, "0");

/// The date `at`, in days since 1970, as text in `format`.
function written(at, format) {
  const [year, month, day, weekday, hour, minute] = parts(at);
  const names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
  const values = {
    "%Y": String(year).padStart(4, "0"), "%y": two(year % 100), "%m": two(month), "%d": two(day), "%H": two(hour),
    "%I": two(hour % 12 || 12), "%M": two(minute), "%S": "00", "%.f": "", "%p": hour < 12 ? "AM" : "PM",
    "%b": MONTHS[month - 1].slice(0, 3), "%B": MONTHS[month - 1], "%a": names[weekday - 1], "%z": "+0000", "%:z": "+00:00",
  };
  return format.replace(DIRECTIVE, directive => values[directive]);
}

/// The least and the greatest value of a column in the training rows; undefined for names.
function rangeOf(column) {
  if (column.as === "number") return column.scale;
  return column.as === "date" ? column.parts.find(part => part.name === "days")?.scale : undefined;
}

function plainNumber(text) {
  const isNumber = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) && !/^[+-]?0\d[^.]*$/.test(text);
  return isNumber && Number.isFinite(+text) ? +text : NaN;
}

/// A value as a number: itself, days since 1970, 0 or 1, the index of a name, -1 for an unknown name, NaN for a missing value.
function rawValue(column, value) {
  if (value === null || value === undefined || value !== value) return NaN;
  const text = String(value).trim();
  const isExact = column.as === "category" && column.exact;
  const number = isExact || input.missing.includes(text) ? NaN : plainNumber(text);
  if (Number.isNaN(number) && (input.nothing.includes(text) || input.missing.includes(text))) return NaN;
  const name = Number.isNaN(number) ? text : String(number);
  const refuse = expected => { throw new Error(`column "${column.name}": expected ${expected}, found "${text}"`); };
  switch (column.as) {
    case "number": {
      const bare = column.unit && text.endsWith(column.unit) ? text.slice(0, -column.unit.length).trim() : text;
      const amount = Number.isNaN(number) ? plainNumber(bare) : number;
      return Number.isNaN(amount) ? refuse("a number") : amount;
    }
    case "boolean": {
      const is = word => Number.isNaN(number) ? name.toLowerCase() === word.toLowerCase() : name === word;
      return is(column.yes) ? 1 : is(column.no) ? 0 : -1;
    }
    case "category":
      return column.values.indexOf(name);
    default: {
      const at = days(name, column.format);
      return Number.isNaN(at) ? refuse(`a date such as ${written(20000, column.format)}`) : at;
    }
  }
}

function scaled(scale, value) {
  if (Number.isNaN(value)) value = scale.median;
  if (scale.spread === 0) return 0;
  const knots = scale.knots ?? [];
  if (knots.length > 1) {
    const last = knots.length - 1;
    let above = 0;
    while (above <= last && knots[above] <= value) above++;
    if (above === 0) return -1;
    if (above > last) return 1;
    const share = (value / 2 - knots[above - 1] / 2) / (knots[above] / 2 - knots[above - 1] / 2);
    return fround(2 * (above - 1 + share) / last - 1);
  }
  const most = 3.4028234663852886e38;
  const ratio = Math.min(Math.max((value - scale.offset) / scale.spread, -most), most);
  return fround(scale.clipped ? ratio / Math.sqrt(1 + (ratio / 3) ** 2) : ratio);
}

/// The features of a column whose value is `raw`.
function featuresOf(column, raw) {
  const isMissing = Number.isNaN(raw), flag = column.indicator ? [isMissing ? 1 : 0] : [];
  switch (column.as) {
    case "number": return [scaled(column.scale, raw), ...flag];
    case "boolean": return [raw === 0 || raw === 1 ? raw : fround(column.fill), ...flag];
    case "category": return [...column.values.map((_, at) => at === raw ? 1 : 0), ...flag];
    default: {
      const all = isMissing ? [] : parts(raw);
      const of = ({ name, scale }) => scaled(scale, isMissing ? NaN : name === "days" ? raw : all[PARTS.indexOf(name)]);
      return [...column.parts.map(of), ...flag];
    }
  }
}

/// A value of a column as text.
function shown(column, value) {
  if (column.as !== "date") return Number.isInteger(value) ? String(value) : String(+value.toPrecision(6));
  return written(value, column.format);
}

/// A warning about an unusual value; empty if the training rows have such values.
function warningOf(column, raw, value) {
  if (Number.isNaN(raw)) return column.indicator ? "" : "missing, but no training row lacks a value here";
  if (raw === -1 && (column.as === "category" || column.as === "boolean")) return `"${value}" was not in the training data`;
  const range = rangeOf(column);
  return range && (raw < range.least || raw > range.greatest)
    ? `outside ${shown(column, range.least)} to ${shown(column, range.greatest)}, the range of the training data` : "";
}

/// The features of a row, an object of values by column, and the warnings about it.
function featuresOfRow(row) {
  const features = [], warnings = [];
  for (const column of input.columns) {
    const raw = rawValue(column, row[column.name]);
    features.push(...featuresOf(column, raw));
    const warning = warningOf(column, raw, row[column.name]);
    if (warning) warnings.push(`${column.name}: ${warning}`);
  }
  return { features: Float32Array.from(features), warnings };
}
