import java.io.File;
import java.io.FileInputStream;
import java.io.ObjectInputStream;
import java.lang.reflect.AnnotatedType;
import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.Member;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import org.codehaus.mojo.animal_sniffer.Clazz;
import org.jspecify.annotations.NullMarked;

/**
 * Prints all that a library offers to applications, sorted: `java -cp CLASSES:... ApiDump.java SIGNATURE CLASSES`. What
 * may be null is told, by JSpecify's annotation. It is an error where
 *
 * - a class of Java is in a package that is not null-marked, since there nothing is told (Kotlin tells it by itself);
 * - a signature names a class of a package called `internal`, which are left out;
 * - a field is not a constant;
 * - a class is called as one of Android or Java, which SIGNATURE lists, so that a file could not import both.
 */
class ApiDump {
    private static final List<String> NAMED =
            Arrays.asList("android/", "java/lang/", "java/util/", "java/io/", "java/nio/");

    private final Set<String> taken = new HashSet<>();

    public static void main(String[] arguments) throws Exception {
        new ApiDump(arguments[0]).print(new File(arguments[1]).toPath());
    }

    private ApiDump(String signature) throws Exception {
        try (ObjectInputStream in = new ObjectInputStream(new GZIPInputStream(new FileInputStream(signature)))) {
            for (Clazz one = (Clazz) in.readObject(); one != null; one = (Clazz) in.readObject()) {
                if (NAMED.stream().anyMatch(one.getName()::startsWith)) {
                    taken.add(one.getName().replaceAll(".*/", "")); // none of nested ones: the outer name tells
                }
            }
        }
    }

    private void print(Path root) throws Exception {
        List<String> offered = new ArrayList<>();
        try (Stream<Path> files = Files.walk(root)) {
            for (Path file : files.filter(f -> f.toString().endsWith(".class")).collect(Collectors.toList())) {
                String name = root.relativize(file).toString().replace(".class", "").replace('/', '.');
                if (!name.contains(".internal.")) {
                    add(offered, Class.forName(name, false, ApiDump.class.getClassLoader()));
                }
            }
        }
        Collections.sort(offered);
        for (String line : offered) {
            System.out.println(line);
            if (line.contains(".internal.")) {
                fail("an internal class is offered: " + line);
            }
        }
    }

    private static void fail(String why) {
        System.err.println(why);
        System.exit(1);
    }

    private void add(List<String> lines, Class<?> type) {
        for (Class<?> at = type; at != null; at = at.getEnclosingClass()) {
            if (!offered(at.getModifiers())) {
                return;
            }
        }
        boolean kotlin = Stream.of(type.getAnnotations())
                .anyMatch(a -> a.annotationType().getName().equals("kotlin.Metadata"));
        if (!kotlin && !type.getPackage().isAnnotationPresent(NullMarked.class)) {
            fail(type.getName() + " is in a package without @NullMarked");
        }
        if (type.getEnclosingClass() == null && taken.contains(type.getSimpleName())) {
            fail("Android or Java has a " + type.getSimpleName() + " of its own, beside " + type.getName());
        }
        String name = type.getTypeName();
        lines.add(name + " " + Modifier.toString(type.getModifiers()) + (type.getGenericSuperclass() == null ? ""
                : " extends " + type.getGenericSuperclass().getTypeName()) + Stream.of(type.getGenericInterfaces())
                .map(i -> " implements " + i.getTypeName()).collect(Collectors.joining()));
        for (Field field : type.getDeclaredFields()) {
            int kind = field.getModifiers();
            if (offered(kind) && !(Modifier.isStatic(kind) && Modifier.isFinal(kind))) {
                fail("a field is offered: " + field);
            }
            addMember(lines, name, field, shown(field.getAnnotatedType()) + " " + field.getName());
        }
        for (Constructor<?> constructor : type.getDeclaredConstructors()) {
            addMember(lines, name, constructor, name + parameters(constructor));
        }
        for (Method method : type.getDeclaredMethods()) {
            addMember(lines, name, method, (method.isDefault() ? "default " : "")
                    + shown(method.getAnnotatedReturnType()) + " " + method.getName() + parameters(method));
        }
    }

    private static void addMember(List<String> lines, String type, Member member, String text) {
        boolean code = member instanceof Executable;
        if (offered(member.getModifiers()) && !(code && member.isSynthetic())) {
            int kinds = code ? Modifier.methodModifiers() : Modifier.fieldModifiers();
            lines.add(type + ": " + Modifier.toString(member.getModifiers() & kinds) + " " + text);
        }
    }

    private static String parameters(Executable code) {
        String all = Stream.of(code.getAnnotatedParameterTypes()).map(ApiDump::shown).collect(Collectors.joining(","));
        String thrown = Stream.of(code.getAnnotatedExceptionTypes()).map(ApiDump::shown)
                .collect(Collectors.joining(","));
        return "(" + (code.isVarArgs() ? all.replaceFirst("\\[]$", "...") : all) + ")"
                + (thrown.isEmpty() ? "" : " throws " + thrown);
    }

    /** A type with what is told of null, in the class itself and in what it holds. */
    private static String shown(AnnotatedType type) {
        return type.toString().replaceAll("@[a-z.]*\\.Nullable(\\(\\))?", "@Nullable");
    }

    private static boolean offered(int modifiers) {
        return Modifier.isPublic(modifiers) || Modifier.isProtected(modifiers);
    }
}
