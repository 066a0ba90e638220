import java.io.ByteArrayOutputStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Security;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.text.SimpleDateFormat;
import java.util.Base64;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TimeZone;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.bouncycastle.asn1.ASN1Encodable;
import org.bouncycastle.asn1.ASN1GeneralizedTime;
import org.bouncycastle.asn1.ASN1Integer;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.DERBitString;
import org.bouncycastle.asn1.DERIA5String;
import org.bouncycastle.asn1.DEROctetString;
import org.bouncycastle.asn1.DERSequence;
import org.bouncycastle.asn1.DERUTF8String;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.cert.X509v2CRLBuilder;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.jcajce.spec.SM2ParameterSpec;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;

/**
 * A vendor of its own: a root, a maker of seals and a signer, a version 4 seal, and an OFD sealed with it, all by Bouncy Castle and Java's
 * ZIP writer. Arguments: a folder for root.der, root.crl and sealed.ofd, and the time in Unix seconds.
 */
public final class OfdSealer {
    private static final byte[] ID = "1234567812345678".getBytes(StandardCharsets.US_ASCII);
    private static final ASN1ObjectIdentifier SM2_WITH_SM3 = new ASN1ObjectIdentifier("1.2.156.10197.1.501");
    private static final String NS = "xmlns:ofd=\"http://www.ofdspec.org/2016\"";
    private static final String SIGN = "Doc_0/Signs/Sign_0/";
    private static final long DAY = 86_400_000L;
    private static Date now;

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        Path folder = Path.of(arguments[0]);
        now = new Date(Long.parseLong(arguments[1]) * 1000);
        KeyPair root = pair(), maker = pair(), signer = pair();
        X500Name rootName = new X500Name("CN=Vendor Root"), makerName = new X500Name("CN=Vendor Maker");
        byte[] rootCertificate = certificate(1, rootName, root, rootName, root, true);
        byte[] makerCertificate = certificate(2, makerName, maker, rootName, root, false);
        byte[] signerCertificate = certificate(3, new X500Name("CN=Vendor Signer"), signer, rootName, root, false);
        Files.write(folder.resolve("root.der"), rootCertificate);
        X509v2CRLBuilder list = new X509v2CRLBuilder(rootName, now);
        list.setNextUpdate(new Date(now.getTime() + 30 * DAY));
        list.addExtension(Extension.cRLNumber, false, new ASN1Integer(1));
        list.addExtension(Extension.authorityKeyIdentifier, false, new JcaX509ExtensionUtils().createAuthorityKeyIdentifier(root.getPublic()));
        Files.write(folder.resolve("root.crl"), list.build(content(root)).getEncoded());

        DERSequence info = sequence(
            sequence(new DERIA5String("ES"), new ASN1Integer(4), new DERIA5String("VENDOR")),
            new DERIA5String("99010000000077"),
            sequence(
                new ASN1Integer(1), new DERUTF8String("示范市某局行政审批专用章"), new ASN1Integer(1),
                sequence(new DEROctetString(signerCertificate)),
                time(-DAY), time(-DAY), time(300 * DAY)),
            sequence(new DERIA5String("PNG"), new DEROctetString(new byte[] {1, 2, 3}), new ASN1Integer(42), new ASN1Integer(42)));
        DERSequence seal = sequence(info, new DEROctetString(makerCertificate), SM2_WITH_SM3, new DERBitString(sign(maker.getPrivate(), info.getEncoded("DER"))));

        Map<String, byte[]> parts = document();
        StringBuilder references = new StringBuilder();
        for (Map.Entry<String, byte[]> part : parts.entrySet()) {
            references.append("<ofd:Reference FileRef=\"/").append(part.getKey()).append("\"><ofd:CheckValue>")
                .append(Base64.getEncoder().encodeToString(sm3(part.getValue()))).append("</ofd:CheckValue></ofd:Reference>");
        }
        byte[] description = xml("<ofd:Signature " + NS + "><ofd:SignedInfo><ofd:Provider ProviderName=\"Vendor\" Version=\"1\"/>"
            + "<ofd:SignatureMethod>1.2.156.10197.1.501</ofd:SignatureMethod><ofd:SignatureDateTime>20261121020000Z</ofd:SignatureDateTime>"
            + "<ofd:References CheckMethod=\"1.2.156.10197.1.401\">" + references + "</ofd:References>"
            + "<ofd:StampAnnot ID=\"1\" PageRef=\"1\" Boundary=\"100 100 42 42\"/><ofd:Seal><ofd:BaseLoc>Seal.esl</ofd:BaseLoc></ofd:Seal>"
            + "</ofd:SignedInfo><ofd:SignedValue>SignedValue.dat</ofd:SignedValue></ofd:Signature>");
        DERSequence toSign = sequence(new ASN1Integer(4), seal, time(0), new DERBitString(sm3(description)), new DERIA5String("/" + SIGN + "Signature.xml"));
        DERSequence stamp = sequence(toSign, new DEROctetString(signerCertificate), SM2_WITH_SM3, new DERBitString(sign(signer.getPrivate(), toSign.getEncoded("DER"))));
        parts.put(SIGN + "Signature.xml", description);
        parts.put(SIGN + "SignedValue.dat", stamp.getEncoded("DER"));
        parts.put(SIGN + "Seal.esl", seal.getEncoded("DER"));
        parts.put("Doc_0/Signs/Signatures.xml", xml("<ofd:Signatures " + NS + "><ofd:MaxSignId>1</ofd:MaxSignId>"
            + "<ofd:Signature ID=\"1\" Type=\"Seal\" BaseLoc=\"/" + SIGN + "Signature.xml\"/></ofd:Signatures>"));
        Files.write(folder.resolve("sealed.ofd"), zipped(parts));
    }

    private static Map<String, byte[]> document() {
        Map<String, byte[]> parts = new LinkedHashMap<>();
        parts.put("OFD.xml", xml("<ofd:OFD " + NS + " Version=\"1.0\" DocType=\"OFD\"><ofd:DocBody><ofd:DocInfo><ofd:DocID>77</ofd:DocID></ofd:DocInfo>"
            + "<ofd:DocRoot>Doc_0/Document.xml</ofd:DocRoot><ofd:Signatures>Doc_0/Signs/Signatures.xml</ofd:Signatures></ofd:DocBody></ofd:OFD>"));
        parts.put("Doc_0/Document.xml", xml("<ofd:Document " + NS + "><ofd:CommonData><ofd:MaxUnitID>3</ofd:MaxUnitID><ofd:PageArea><ofd:PhysicalBox>0 0 210 297"
            + "</ofd:PhysicalBox></ofd:PageArea></ofd:CommonData><ofd:Pages><ofd:Page ID=\"1\" BaseLoc=\"Pages/Page_0/Content.xml\"/></ofd:Pages></ofd:Document>"));
        parts.put("Doc_0/Pages/Page_0/Content.xml", xml("<ofd:Page " + NS + "><ofd:Content><ofd:Layer ID=\"2\"/></ofd:Content></ofd:Page>"));
        return parts;
    }

    private static byte[] zipped(Map<String, byte[]> parts) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(out)) {
            for (Map.Entry<String, byte[]> part : parts.entrySet()) {
                zip.putNextEntry(new ZipEntry(part.getKey()));
                zip.write(part.getValue());
                zip.closeEntry();
            }
        }
        return out.toByteArray();
    }

    private static byte[] certificate(int serial, X500Name subject, KeyPair key, X500Name issuer, KeyPair by, boolean authority) throws Exception {
        JcaX509v3CertificateBuilder builder = new JcaX509v3CertificateBuilder(
            issuer, BigInteger.valueOf(serial), new Date(now.getTime() - 30 * DAY), new Date(now.getTime() + 400 * DAY), subject, key.getPublic());
        JcaX509ExtensionUtils utils = new JcaX509ExtensionUtils();
        builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(authority));
        builder.addExtension(Extension.keyUsage, true, new KeyUsage(authority ? KeyUsage.keyCertSign | KeyUsage.cRLSign : KeyUsage.digitalSignature));
        builder.addExtension(Extension.subjectKeyIdentifier, false, utils.createSubjectKeyIdentifier(key.getPublic()));
        builder.addExtension(Extension.authorityKeyIdentifier, false, utils.createAuthorityKeyIdentifier(by.getPublic()));
        return builder.build(content(by)).getEncoded();
    }

    private static ContentSigner content(KeyPair by) throws Exception {
        return new JcaContentSignerBuilder("SM3WITHSM2").setProvider("BC").build(by.getPrivate());
    }

    private static KeyPair pair() throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", "BC");
        generator.initialize(new ECGenParameterSpec("sm2p256v1"));
        return generator.generateKeyPair();
    }

    private static byte[] sign(PrivateKey key, byte[] message) throws Exception {
        Signature signature = Signature.getInstance("SM3withSM2", "BC");
        signature.setParameter(new SM2ParameterSpec(ID));
        signature.initSign(key);
        signature.update(message);
        return signature.sign();
    }

    private static byte[] sm3(byte[] octets) throws Exception {
        return MessageDigest.getInstance("SM3", "BC").digest(octets);
    }

    private static ASN1GeneralizedTime time(long later) {
        SimpleDateFormat form = new SimpleDateFormat("yyyyMMddHHmmss'Z'");
        form.setTimeZone(TimeZone.getTimeZone("UTC"));
        return new ASN1GeneralizedTime(form.format(new Date(now.getTime() + later)));
    }

    private static DERSequence sequence(ASN1Encodable... members) {
        return new DERSequence(members);
    }

    private static byte[] xml(String text) {
        return ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>" + text).getBytes(StandardCharsets.UTF_8);
    }
}
