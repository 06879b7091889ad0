package org.legodnn;

import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

import org.legodnn.internal.json.JsonNumber;
import org.legodnn.internal.json.JsonObject;

/** Comparing answers with those of the vectors that Python and Java share. */
public final class Answers {
    private static final double TOLERANCE = 1e-9;

    private Answers() {}

    /** What is asked of one case: its answer as JSON, or an error. */
    public interface Question {
        Object answer(JsonObject one) throws Exception;
    }

    /** Every case of a file; all that differ are told at once. */
    public static void check(String file, int atLeast, Question question) throws Exception {
        JsonObject vectors = Vectors.read(file);
        List<JsonObject> cases = Vectors.list(vectors, "cases");
        assertTrue(file + " has " + cases.size() + " cases", cases.size() >= atLeast);
        List<String> problems = new ArrayList<>();
        for (JsonObject one : cases) {
            Object answer;
            try {
                answer = question.answer(one);
            } catch (LegoException e) {
                answer = error(e);
            }
            Object wanted = one.has("answers") ? one.get("answers") : one.get("answer");
            if (one.has("answers") && !(answer instanceof List)) { // not even a scheduler could be made
                answer = Collections.nCopies(((List<?>) wanted).size(), answer);
            }
            String difference = difference(wanted, answer, "");
            if (difference != null) {
                problems.add(one.get("name") + ": " + difference);
            }
        }
        if (!problems.isEmpty()) {
            List<String> first = problems.subList(0, Math.min(20, problems.size()));
            fail(problems.size() + " of " + cases.size() + " differ:\n" + String.join("\n", first));
        }
    }

    /** Python's name of an error. */
    static JsonObject error(LegoException e) {
        return new JsonObject().put("error", e.getClass().getSimpleName().replace("Exception", "Error"));
    }

    /** Tails as tests/vectors/learned.py has them. */
    public static List<Object> tails(List<Tail> tails) {
        List<Object> rows = new ArrayList<>();
        for (Tail tail : tails) {
            rows.add(Arrays.<Object>asList(tail.threads(), tail.condition(), tail.other(), tail.inferences(),
                    new ArrayList<>(tail.stretch().keySet()), new ArrayList<>(tail.stretch().values())));
        }
        return rows;
    }

    /** Where two JSON values differ, by more than the last bits of a number; null if they do not. */
    private static String difference(Object wanted, Object found, String where) {
        if (wanted instanceof JsonNumber && found instanceof Number) {
            double a = ((JsonNumber) wanted).doubleValue();
            double b = ((Number) found).doubleValue();
            boolean near = a == b || Math.abs(a - b) <= TOLERANCE * Math.max(Math.abs(a), Math.abs(b));
            return near ? null : where + " is " + b + " instead of " + a;
        }
        if (wanted instanceof JsonObject && found instanceof JsonObject) {
            JsonObject a = (JsonObject) wanted;
            JsonObject b = (JsonObject) found;
            if (!a.keys().equals(b.keys())) {
                return where + " is " + brief(found) + " instead of " + brief(wanted);
            }
            for (String key : a.keys()) {
                String difference = difference(a.get(key), b.get(key), where + "." + key);
                if (difference != null) {
                    return difference;
                }
            }
            return null;
        }
        if (wanted instanceof List && found instanceof List && ((List<?>) wanted).size() == ((List<?>) found).size()) {
            for (int i = 0; i < ((List<?>) wanted).size(); i++) {
                String difference = difference(((List<?>) wanted).get(i), ((List<?>) found).get(i), where + "." + i);
                if (difference != null) {
                    return difference;
                }
            }
            return null;
        }
        boolean same = wanted == null ? found == null : wanted.equals(found);
        return same ? null : where + " is " + brief(found) + " instead of " + brief(wanted);
    }

    private static String brief(Object value) {
        String text = String.valueOf(value).replaceAll("\\s+", " ");
        return text.length() > 300 ? text.substring(0, 300) + "..." : text;
    }
}
