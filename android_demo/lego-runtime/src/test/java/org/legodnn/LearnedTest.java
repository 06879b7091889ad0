package org.legodnn;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;

import org.junit.Test;
import org.legodnn.governing.DeviceMonitor;
import org.legodnn.governing.Governor;
import org.legodnn.governing.Readings;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonObject;

/** What was learned in use is kept in files that the Python package reads and writes too, and put into profiles. */
public class LearnedTest extends RuntimeTestBase {
    private static Profile profile(JsonObject bases, Object tails) {
        JsonObject document = (JsonObject) Json.parse(bases.get("profile").toString());
        return Profile.parse(document.put("tail", tails).toString());
    }

    private static Profile withoutTails() {
        return profile(Vectors.object(Vectors.read("learned"), "bases"), Collections.emptyList());
    }

    @Test
    public void itIsTakenAndRefusedAlike() throws Exception {
        JsonObject bases = Vectors.object(Vectors.read("learned"), "bases");
        Answers.check("learned", 80, one -> {
            File file = new File(temporary.getRoot(), "faces.learned.json");
            String base = Vectors.string(bases, Vectors.string(one, "base"));
            Vectors.write(file, Vectors.edited(base, Vectors.list(one, "edits")));
            Learned learned = Learned.load(file);
            assertEquals(learned.toJson(), Learned.parse(learned.toJson()).toJson());
            return new JsonObject().put("tail", Answers.tails(
                    profile(bases, one.get("tail")).withLearned(learned).tails()));
        });
    }

    @Test
    public void whatWasLearnedHereCountsWhenTheAppIsStartedAgain() throws Exception {
        Profile profile = withoutTails();
        File file = temporary.newFile();
        Tail tail = Tail.inUse(2, 50, Collections.singletonMap(0.95, 1.75));
        Learned.of(profile, Collections.singletonList(tail)).save(file);
        assertEquals(Answers.tails(Collections.singletonList(tail)),
                Answers.tails(profile.withLearned(Learned.load(file)).tails()));
        assertEquals(Tails.of(Collections.singletonList(tail), 1, Collections.<Tails.Companion>emptyList(), false)
                .stretch(2, 0.95), Double.valueOf(1.75));
    }

    @Test
    public void whatWasLearnedBeforeStaysUnlessNoLessWasLearnedNow() throws Exception {
        Profile profile = withoutTails();
        File file = temporary.newFile();
        Tail far = Tail.inUse(1, 50, Collections.singletonMap(0.95, 1.75));
        Tail other = Tail.inUse(2, 50, Collections.singletonMap(0.95, 1.5));
        Tail near = Tail.inUse(1, 6, Collections.singletonMap(0.75, 1.25));
        Learned.of(profile, Arrays.asList(far, other)).save(file);
        Learned.of(profile, Collections.singletonList(near)).save(file);
        assertEquals(Answers.tails(Arrays.asList(far, other)), Answers.tails(Learned.load(file).tails()));
        Tail farther = Tail.inUse(2, 200, Collections.singletonMap(0.99, 1.25));
        Learned.of(profile, Collections.singletonList(farther)).save(file);
        assertEquals(Answers.tails(Arrays.asList(far, farther)), Answers.tails(Learned.load(file).tails()));
        Vectors.write(file, "{}".getBytes(StandardCharsets.UTF_8));
        Learned.of(profile, Collections.singletonList(near)).save(file);
        assertEquals(Answers.tails(Collections.singletonList(near)), Answers.tails(Learned.load(file).tails()));
    }

    @Test
    public void whatWasLearnedOfAnotherProfileIsNeitherTakenNorKept() throws Exception {
        Profile profile = withoutTails();
        Profile anew = Profile.parse(profile.toJson().replace(profile.created(), "2030-01-01T00:00:00Z"));
        File file = temporary.newFile();
        Tail first = Tail.inUse(1, 50, Collections.singletonMap(0.95, 1.75));
        Tail second = Tail.inUse(2, 50, Collections.singletonMap(0.95, 1.5));
        Learned.of(profile, Collections.singletonList(first)).save(file);
        assertThrows(ProfileException.class, () -> anew.withLearned(Learned.load(file)));
        Learned.of(anew, Collections.singletonList(second)).save(file);
        assertEquals(Answers.tails(Collections.singletonList(second)),
                Answers.tails(anew.withLearned(Learned.load(file)).tails()));
    }

    /** A device with as much as ever. */
    private static final class Idle implements DeviceMonitor {
        @Override
        public Readings read() {
            return new Readings(0, 100_000, 100_000).withCores(4, 4);
        }

        @Override
        public void start(Runnable changed) {}

        @Override
        public void stop() {}
    }

    @Test
    public void whatIsSeenByAProfileOfAnotherDeviceIsNotForKeeping() {
        Profile here = TestStores.profile(chain, executor);
        Profile elsewhere = Profile.parse(here.toJson().replace("affine 1", "affine 0"));
        for (Profile profile : Arrays.asList(here, elsewhere)) {
            try (LegoRuntime runtime = open(LegoModel.of(chain, profile).onAnyDevice());
                    Governor governor = new Governor(runtime, new Idle())) {
                governor.start();
                for (int i = 0; i < 60; i++) {
                    runtime.infer("chain", X);
                }
                governor.stop();
                assertEquals(profile == elsewhere, governor.learned("chain").isEmpty());
            }
        }
    }

    @Test
    public void whatMakesNoSenseIsRefused() throws Exception {
        Profile profile = withoutTails();
        assertThrows(ProfileException.class, () -> Learned.of(profile, Collections.<Tail>emptyList()));
        Map<Double, Double> falling = new TreeMap<>();
        falling.put(0.5, 2.0);
        falling.put(0.95, 1.0);
        assertThrows(WorkloadException.class, () -> Tail.inUse(1, 50, falling));
        assertThrows(WorkloadException.class, () -> Tail.inUse(1, 50, Collections.singletonMap(0.4, 1.0)));
        assertThrows(WorkloadException.class, () -> Tail.inUse(1, 0, Collections.singletonMap(0.5, 1.0)));
        File damaged = temporary.newFile();
        Vectors.write(damaged, "{}".getBytes(StandardCharsets.UTF_8));
        assertThrows(ProfileException.class, () -> Learned.load(damaged));
        assertThrows(ProfileException.class, () -> Learned.load(new File(temporary.getRoot(), "none")));
    }
}
