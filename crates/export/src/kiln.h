/* The part that is the same for every network exported by Kiln. */

static inline int kiln_is_none(double value) { return value != value; }

/* Scales a number: (value - offset) / spread, within the range of float; smoothly clipped unless `clip` is 0. */
static inline float kiln_scaled(double value, double median, double offset, double spread, double clip) {
  double most = 3.4028234663852886e38, ratio;
  if (kiln_is_none(value)) value = median;
  ratio = (value - offset) / spread;
  if (ratio > most) ratio = most;
  if (ratio < -most) ratio = -most;
  if (clip != 0.0) ratio = ratio / sqrt(1.0 + (ratio / clip) * (ratio / clip));
  return (float)ratio;
}

/* The position of a number among `count` ascending knots, from -1 to 1. */
static inline float kiln_place(double value, double median, const double *knots, int count) {
  int above = 0;
  if (kiln_is_none(value)) value = median;
  while (above < count && knots[above] <= value) above++;
  if (above == 0) return -1.0f;
  if (above == count) return 1.0f;
  return (float)(2.0 * ((above - 1) + (value / 2 - knots[above - 1] / 2) / (knots[above] / 2 - knots[above - 1] / 2))
                 / (count - 1) - 1.0);
}

/* Whether two words are equal, ignoring the case of ASCII letters. */
static inline int kiln_same_word(const char *left, const char *right) {
  for (;; left++, right++) {
    char a = *left, b = *right;
    if (a >= 'A' && a <= 'Z') a = (char)(a + 32);
    if (b >= 'A' && b <= 'Z') b = (char)(b + 32);
    if (a != b) return 0;
    if (a == 0) return 1;
  }
}

/* The index of `word` among `count` words; -1 if absent. */
static inline int kiln_find(const char *word, const char *const *words, int count) {
  int at;
  for (at = 0; at < count; at++) {
    const char *left = word, *right = words[at];
    while (*left && *left == *right) { left++; right++; }
    if (*left == *right) return at;
  }
  return -1;
}

/* Converts days since 1970 to year, month, day, weekday (Monday is 1), hour, minute, and the days themselves
   (Howard Hinnant's civil_from_days). */
static inline void kiln_date(double days, double *parts) {
  double whole = floor(days), z = whole + 719468, era = floor(z / 146097), doe = z - era * 146097;
  double yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365);
  double doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100)), mp = floor((5 * doy + 2) / 153);
  double minutes = floor((days - whole) * 1440 + 1e-6);
  if (minutes > 1439) minutes = 1439;
  parts[0] = yoe + era * 400 + (mp < 10 ? 0 : 1);
  parts[1] = mp < 10 ? mp + 3 : mp - 9;
  parts[2] = doy - floor((153 * mp + 2) / 5) + 1;
  parts[3] = whole + 3 - 7 * floor((whole + 3) / 7) + 1;
  parts[4] = floor(minutes / 60);
  parts[5] = minutes - 60 * parts[4];
  parts[6] = days;
  if (kiln_is_none(days)) {
    int part;
    for (part = 0; part < 6; part++) parts[part] = days;
  }
}

/* A linear layer: out = weight * in + bias. */
static inline void kiln_linear(const float *in, float *out, const float *weight, const float *bias, int inputs,
                               int outputs) {
  int row, column;
  for (row = 0; row < outputs; row++) {
    float sum = bias[row];
    for (column = 0; column < inputs; column++) sum += weight[row * inputs + column] * in[column];
    out[row] = sum;
  }
}

static inline void kiln_softmax(float *values, int count) {
  float greatest = values[0], total = 0;
  int at;
  for (at = 1; at < count; at++) if (values[at] > greatest) greatest = values[at];
  for (at = 0; at < count; at++) total += values[at] = expf(values[at] - greatest);
  for (at = 0; at < count; at++) values[at] /= total;
}

/* The logarithm of a probability, which is first raised to the least positive normal number. */
static inline float kiln_log(float probability) { return logf(probability > 1.17549435e-38f ? probability : 1.17549435e-38f); }

